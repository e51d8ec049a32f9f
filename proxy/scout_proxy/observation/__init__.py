"""What is measured, logged and traced."""
