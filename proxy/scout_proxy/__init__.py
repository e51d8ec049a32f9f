"""The proxy on port 2025: keeps the documented contract whatever engine is behind it. Imports nothing of ours."""
