"""Who may use the API: keys, their limits, and web pages."""
