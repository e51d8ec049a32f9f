"""Mixed load for a long time, watched for errors and for what leaks: `python -m proxy_bench.soak`, or `make soak`."""
