"""How many files, which connections are too, this process may have open at once."""

import resource
from contextlib import suppress

# Some systems allow a thousand times more, which no proxy needs.
_MOST = 2**20


def allow_open_files() -> None:
    """Let this process open as many as its user may, which is more than it begins with."""
    before, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST if most == resource.RLIM_INFINITY else min(most, _MOST)
    if before != resource.RLIM_INFINITY and before < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def open_files_limit() -> int:
    """Return how many it may."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if allowed == resource.RLIM_INFINITY else min(allowed, _MOST)
