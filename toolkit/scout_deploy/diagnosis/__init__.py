"""Why an engine's container died, or never got ready: a cause, its evidence, and what to change."""
