"""The connection: bounds, heads and bodies as they come and go."""
