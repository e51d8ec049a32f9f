"""A model's weights: which files an engine needs, where they lie, and how they come there."""
