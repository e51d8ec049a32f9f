"""What a reader sees of a run: one HTML file, and lines for a terminal. Pure: results in, text out."""
