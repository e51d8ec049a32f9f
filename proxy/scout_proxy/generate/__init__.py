"""`POST /generate`: from its fields to its answer, by every way there is."""
