"""API keys on the operator's side: read, checked, made, and turned into the digests that the proxy is told."""
