"""The engines behind the proxy: who they are, which is next, who waits for one, and how to speak to it."""
