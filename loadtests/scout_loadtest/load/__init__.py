"""Loads: when requests are sent, and by whom. Needs the extra `bench`."""
