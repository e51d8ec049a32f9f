"""The proxy's image: what it is built of, as bytes for any builder."""
