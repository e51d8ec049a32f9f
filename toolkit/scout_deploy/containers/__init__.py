"""Containers as data: what a deployment is made of, before anything runs. Nothing here does I/O."""
