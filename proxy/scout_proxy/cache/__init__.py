"""The response cache: what is kept, where, and which requests share one generation."""
