"""From a prompt to the text for the engine."""
