"""TGI's native routes."""
