"""SIGTERM, understood as Ctrl-C."""

import contextlib
import signal
from collections.abc import Iterator


@contextlib.contextmanager
def ended_like_ctrl_c() -> Iterator[None]:
    """Take back, or finish, what was begun on SIGTERM too: a cancelled job must leave nothing half done behind.

    A closed terminal (SIGHUP) is no such wish: what takes minutes goes on.
    """
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
