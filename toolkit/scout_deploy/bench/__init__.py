"""`scout-deploy bench`: which load a deployment carries, and what changed since. What sends requests is a child."""
