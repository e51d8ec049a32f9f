"""What a store of answers keeps, and what is asked of one that several proxies share. Nothing here does I/O."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredAnswer:
    """The texts of one answer: one text for each sequence.

    Args:
        texts: In the order of their sequences.
        stored_at_s: Seconds since the epoch, by the clock of the proxy that stored it.
        generation_s: What generating it took.
    """

    texts: tuple[str, ...]
    stored_at_s: float
    generation_s: float


class StoreState(StrEnum):
    """What a shared store does for requests now. One that is `read_only` still gives answers but takes none."""

    OK = "ok"
    READ_ONLY = "read_only"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreStatus:
    """A shared store as this proxy sees it; the counts are of this proxy since its start.

    Args:
        reason: Why it is not `ok`, without secrets; None while it is.
        since_s: When `state` began, in seconds since the epoch.
        hits: Gets that gave at least one answer.
        misses: All other gets, those that trouble left empty included.
        errors: Round trips that failed, probes included.
        foreign: Values under our keys, or parts of them, that are not answers of ours.
        dropped: Puts that were never written: the backlog was full, the answer too large, or trouble outlasted it.
        backlog: Puts that wait to be written.
    """

    state: StoreState
    reason: str | None
    since_s: float
    hits: int
    misses: int
    errors: int
    foreign: int
    dropped: int
    backlog: int


class SharedStore(Protocol):
    """Answers that several proxies share. Never fails a request, and never keeps one waiting long."""

    async def get(self, key: bytes) -> tuple[StoredAnswer, ...]:
        """Return the answers that are fresh, oldest first; none on a miss and on any trouble."""

    def put(self, key: bytes, answer: StoredAnswer) -> None:
        """Return at once; the answer is written in the background, or dropped and counted."""

    def status(self) -> StoreStatus:
        """Return the status of this moment, without asking the store."""

    async def close(self) -> None:
        """Write what waits, for a short while at most, and close every connection."""
