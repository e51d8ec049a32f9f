"""One request over HTTP, and when each part of its answer came. Needs the extra `bench`."""
