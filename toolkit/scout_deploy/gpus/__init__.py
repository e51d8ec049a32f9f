"""The GPUs of the Docker host: what there is, who gets which, and how containers get at them."""
