"""Load tests that tell the truth: what was sent, what came back, and when each token did. Speaks HTTP only."""
