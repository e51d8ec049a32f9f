"""One generation under way, and everyone who waits for it. It ends when it is done, or when the last one left."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Protocol, TypeAlias

from scout_proxy.errors import ProxyError

Texts: TypeAlias = tuple[str, ...]


# So many followers are told of each piece in its turn. Where they are more, a fast engine and the time that each of
# them takes would leave the loop none for anything else: they are told at intervals, which grow with that time.
_FEW = 8
_SHORTEST_PAUSE_S = 0.01
_PAUSE_FOR_WORK = 10


class Piece:
    """A piece of a sequence's text.

    Attributes:
        event: Its form on the wire, once a follower has made it.
    """

    __slots__ = ("event", "sequence", "text")

    def __init__(self, sequence: int, text: str) -> None:
        self.sequence = sequence
        self.text = text
        self.event: bytes | None = None


class Follower(Protocol):
    """Someone who waits. Both are called within the generation's own turn, so they return at once and never fail."""

    def on_pieces(self) -> None:
        """Take what was added to the flight's pieces."""
        ...

    def on_end(self, flight: "Flight") -> None:
        """Take the end: `flight.texts` or `flight.failure` is set."""
        ...


class Flight:
    """Runs in a task of its own, so that it belongs to none of its followers. Needs a running event loop.

    Args:
        work: Generates; it may tell pieces of its texts while it does.
        on_end: Called once, when it is done or given up.

    Attributes:
        pieces: What was told so far, by sequence, for those who come later.
        began_s: When it began, by the monotonic clock.
    """

    def __init__(
        self, work: Callable[["Flight"], Awaitable[Texts]], *, on_end: Callable[["Flight"], None] = lambda _: None
    ) -> None:
        self._on_end = on_end
        self._followers: dict[Follower, None] = {}
        self._is_let_in = False
        self._on_let_in: list[Callable[[], None]] = []
        self.began_s = monotonic()
        self.pieces: list[Piece] = []
        self.texts: Texts | None = None
        self.failure: BaseException | None = None
        self._pause_s = _SHORTEST_PAUSE_S
        self._next_telling: asyncio.TimerHandle | None = None
        self._task = asyncio.get_running_loop().create_task(self._run(work))

    @property
    def is_over(self) -> bool:
        """Whether it is done or given up."""
        return self.texts is not None or self.failure is not None

    @property
    def followers(self) -> int:
        """How many wait."""
        return len(self._followers)

    def follow(self, follower: Follower) -> None:
        """Add one who waits. What was told before is in `pieces`; an end that has come is not told again."""
        self._followers[follower] = None

    def leave(self, follower: Follower) -> None:
        """Take one out; with the last one the generation ends at once."""
        self._followers.pop(follower, None)
        if not self._followers and not self.is_over:
            self._end(failure=asyncio.CancelledError())
            self._task.cancel()

    def let_in(self) -> None:
        """Note that the work has a place at an engine; said again where it has several, or another one."""
        self._is_let_in = True
        waiting, self._on_let_in = self._on_let_in, []
        for call in waiting:
            call()

    def once_let_in(self, call: Callable[[], None]) -> None:
        """Call it when the work has a place at an engine: at once where it has, never where it is refused before."""
        if self._is_let_in:
            call()
        else:
            self._on_let_in.append(call)

    def tell(self, sequence: int, text: str) -> None:
        """Tell a piece to everyone: at once where they are few, soon where they are many."""
        self.pieces.append(Piece(sequence, text))
        if len(self._followers) <= _FEW:
            self._tell_all()
        elif self._next_telling is None:
            self._next_telling = asyncio.get_running_loop().call_later(self._pause_s, self._tell_many)

    def _tell_many(self) -> None:
        self._next_telling = None
        began_s = monotonic()
        self._tell_all()
        self._pause_s = max(_SHORTEST_PAUSE_S, _PAUSE_FOR_WORK * (monotonic() - began_s))

    def _tell_all(self) -> None:
        for follower in (*self._followers,):
            follower.on_pieces()

    async def _run(self, work: Callable[["Flight"], Awaitable[Texts]]) -> None:
        try:
            texts = await work(self)
        except ProxyError as exc:
            self._end(failure=exc)
        except asyncio.CancelledError as exc:
            self._end(failure=exc)
            raise
        except Exception as exc:  # noqa: BLE001  # a defect belongs to whoever waits, and is logged with the request
            self._end(failure=exc)
        else:
            self._end(texts=texts)

    def _end(self, *, texts: Texts | None = None, failure: BaseException | None = None) -> None:
        if self.is_over:
            return
        self.texts, self.failure = texts, failure
        if self._next_telling is not None:
            self._next_telling.cancel()
        self._on_end(self)
        for follower in (*self._followers,):
            follower.on_end(self)
        self._followers.clear()
