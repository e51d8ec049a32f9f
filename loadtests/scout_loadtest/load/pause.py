"""How long a user waits who was told to come later.

Without a pause, users in a closed loop ask a server that is away thousands of times a second, and a second's absence
outweighs a minute's answers in every figure. Half a second is where the OpenAI client's own retries begin.
"""

from scout_loadtest.record import ErrorKind, Record

LATER_S = 0.5
_TOLD_TO_COME_LATER = frozenset(
    {ErrorKind.REFUSED, ErrorKind.BROKEN, ErrorKind.NOT_READY, ErrorKind.OVERLOADED, ErrorKind.NOT_SENT}
)


def pause_s(record: Record) -> float:
    """Return the seconds before this user's next request."""
    return LATER_S if record.error in _TOLD_TO_COME_LATER else 0.0
