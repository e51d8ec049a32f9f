"""Which requests of a run one of its processes sends: together all of them, and none of them twice. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import TypeVar

_T = TypeVar("_T")
# Numbers that no worker of the beginning gets to.
_OF_LATECOMERS = 10**9


@dataclass(frozen=True, kw_only=True)
class Share:
    """Of one process; all of it where there is no other.

    Args:
        place: Its number among those that the run began with.
        of: How many they are.
        is_late: It came when all of it was given away: its users ask for others, and a schedule has nothing for it.
    """

    place: int = 0
    of: int = 1
    is_late: bool = False

    def numbers(self) -> Iterator[int]:
        """Yield the numbers of the requests that its users send."""
        return count(self.place + (_OF_LATECOMERS if self.is_late else 0), self.of)

    def scheduled(self, all_of_them: Iterator[_T]) -> Iterator[_T]:
        """Yield what of a schedule it sends."""
        return iter(()) if self.is_late else islice(all_of_them, self.place, None, self.of)


def share_of(worker: str, index: int, workers: Sequence[str]) -> Share:
    """Return a worker's share.

    Args:
        worker: Its name.
        index: A number that no other worker has.
        workers: The names of those that the run began with.
    """
    if worker in workers:
        return Share(place=workers.index(worker), of=len(workers))
    return Share(place=index, of=_OF_LATECOMERS, is_late=True)
