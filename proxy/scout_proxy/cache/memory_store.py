"""Answers in the proxy's own memory: bounded in bytes, in number and in age; the least recently used go first."""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from sys import getsizeof
from time import time
from typing import Literal

from pydantic_core import to_json

from scout_proxy.cache.stored_answers import StoredAnswer
from scout_proxy.route_table import Cache

# What an entry costs beside its texts, roughly: its objects and its places in the indexes.
_ENTRY_BYTES = 900
_BODY_BYTES = 250
# The same request is written in few ways by few clients; more of them would only be memory.
_MAX_BODIES = 4
_MAX_BODY_BYTES = 16_384

EvictionReason = Literal["size", "age", "invalidated"]


class RenderedAnswer:
    """A stored answer with the beginning of its body, which is the same for every request of its key."""

    __slots__ = ("answer", "beginning", "size_bytes")

    def __init__(self, answer: StoredAnswer) -> None:
        self.answer = answer
        self.beginning = b'{"generated_texts":' + to_json(answer.texts) + b',"parameters":'
        # Texts are kept twice: as they are for streams, where one character can take four bytes, and written.
        self.size_bytes = len(self.beginning) + sum(map(getsizeof, answer.texts))


class Entry:
    """The answers of one key, served in turn, and the request bodies that are known to ask for them."""

    __slots__ = ("_turn", "answers", "bodies", "bodies_bytes", "key", "most", "repeats")

    def __init__(self, key: bytes, most: int) -> None:
        self.key = key
        self.most = most
        self.answers: list[RenderedAnswer] = []
        self.bodies: list[bytes] = []
        self.bodies_bytes = 0
        self.repeats = 0
        self._turn = 0

    @property
    def size_bytes(self) -> int:
        """What it takes of the store's memory."""
        return _ENTRY_BYTES + self.bodies_bytes + sum(one.size_bytes for one in self.answers)

    @property
    def is_complete(self) -> bool:
        """Whether it has as many different answers as are kept, or new ones were the same as before that often."""
        return len(self.answers) >= self.most or self.repeats >= self.most

    @property
    def oldest_s(self) -> float:
        """When its oldest answer was stored."""
        return self.answers[0].answer.stored_at_s

    def next(self) -> RenderedAnswer:
        """Return the answer whose turn it is."""
        if len(self.answers) == 1:
            return self.answers[0]
        self._turn = (self._turn + 1) % len(self.answers)
        return self.answers[self._turn]


class MemoryStore:
    """Finds answers by the key of a request, and at once by the bytes of a body that was validated before.

    Args:
        on_evict: Told why an entry went: `size`, `age` or `invalidated`.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        settings: Cache,
        *,
        on_evict: Callable[[EvictionReason], None] = lambda _: None,
        clock: Callable[[], float] = time,
    ) -> None:
        self._settings = settings
        self._on_evict = on_evict
        self._clock = clock
        self._entries: OrderedDict[bytes, Entry] = OrderedDict()
        self._bodies: dict[bytes, tuple[Entry, bytes]] = {}
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def apply(self, settings: Cache) -> None:
        """Take new bounds."""
        self._settings = settings
        self._shrink()

    def clear(self) -> None:
        """Forget everything, because what is asked now is not what answered then."""
        for _ in self._entries:
            self._on_evict("invalidated")
        self._entries.clear()
        self._bodies.clear()
        self.size_bytes = 0

    def forget_bodies(self) -> None:
        """Have every body validated again."""
        for entry in self._entries.values():
            self.size_bytes -= entry.bodies_bytes
            entry.bodies.clear()
            entry.bodies_bytes = 0
        self._bodies.clear()

    def get(self, key: bytes) -> Entry | None:
        """Return the fresh answers of a key, which becomes the most recently used."""
        entry = self._entries.get(key)
        return entry if entry is not None and self._touch(entry) else None

    def get_by_body(self, body: bytes) -> tuple[Entry, bytes] | None:
        """Return the entry that this body asks for, and the end of its answer: the echo and what closes it."""
        found = self._bodies.get(body)
        return found if found is not None and self._touch(found[0]) else None

    def put(self, key: bytes, answers: Iterable[StoredAnswer], *, most: int, is_new: bool = False) -> None:
        """Add answers to a key. One with the same texts, or the oldest of more than `most`, gives way.

        Args:
            is_new: They were generated now, and did not come from another store.
        """
        entry = self._entries.pop(key, None)
        if entry is None:
            entry = Entry(key, most)
        else:
            self.size_bytes -= entry.size_bytes
            entry.most = most
        kept = {one.answer.texts: one for one in entry.answers}
        for answer in answers:
            if kept.pop(answer.texts, None) is not None and is_new:
                entry.repeats += 1
            kept[answer.texts] = RenderedAnswer(answer)
        entry.answers = sorted(kept.values(), key=lambda one: one.answer.stored_at_s)[-most:]
        self._entries[key] = entry
        self.size_bytes += entry.size_bytes
        if entry.size_bytes > self._settings.max_bytes:
            self._remove(entry, "size")
        self._shrink()

    def know_body(self, key: bytes, body: bytes, end: bytes) -> None:
        """Remember that this body, which was validated, asks for the entry of `key`.

        Args:
            end: What follows the texts in its answer.
        """
        entry = self._entries.get(key)
        if entry is None or body in self._bodies or len(body) > _MAX_BODY_BYTES or len(entry.bodies) >= _MAX_BODIES:
            return
        self._bodies[body] = entry, end
        entry.bodies.append(body)
        cost = len(body) + len(end) + _BODY_BYTES
        entry.bodies_bytes += cost
        self.size_bytes += cost
        self._shrink()

    def _touch(self, entry: Entry) -> bool:
        """Drop what is too old of an entry, and make it the most recently used where anything is left."""
        stale_s = self._clock() - self._settings.ttl_s
        if entry.oldest_s <= stale_s:
            fresh = [one for one in entry.answers if one.answer.stored_at_s > stale_s]
            if not fresh:
                self._remove(entry, "age")
                return False
            self.size_bytes -= entry.size_bytes
            entry.answers = fresh
            self.size_bytes += entry.size_bytes
        self._entries.move_to_end(entry.key)
        return True

    def _shrink(self) -> None:
        while len(self._entries) > self._settings.max_entries or self.size_bytes > self._settings.max_bytes:
            self._remove(next(iter(self._entries.values())), "size")

    def _remove(self, entry: Entry, reason: EvictionReason) -> None:
        del self._entries[entry.key]
        self._forget_bodies(entry)
        self.size_bytes -= entry.size_bytes
        self._on_evict(reason)

    def _forget_bodies(self, entry: Entry) -> None:
        for body in entry.bodies:
            self._bodies.pop(body, None)
