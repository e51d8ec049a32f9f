"""Runtimes: where a deployment's processes live. The process runtime keeps them on this machine, as this user."""
