"""The limit of open files, which a benchmark of thousands of connections needs high. Children inherit it."""

import resource


def raise_limit() -> int:
    """Raise this process's limit as far as it may, and return it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most
