"""The proxy's benchmark: `python -m proxy_bench` with `loadtests/` on the path, or `make bench-proxy`."""
