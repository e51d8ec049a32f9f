"""What `scout-deploy doctor` looks at: facts are gathered at the edge, and judged by pure functions."""
