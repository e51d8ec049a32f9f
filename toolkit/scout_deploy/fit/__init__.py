"""Will it fit: what a model needs of each GPU, and what an engine makes of the rest. Pure: asks nobody."""
