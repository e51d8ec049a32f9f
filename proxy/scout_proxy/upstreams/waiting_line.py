"""Waiters in line: first come first served for one key, in turn between keys. Pure."""

from collections.abc import Iterator
from typing import Generic, TypeVar

_T = TypeVar("_T")


class WaitingLine(Generic[_T]):
    """Waiters by key. Adding, removing and finding the next one take the same time however many wait."""

    def __init__(self) -> None:
        # Dicts keep their order and give up any member at once, which a client that leaves needs.
        self._keys: dict[str, dict[_T, None]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[_T]:
        return iter([waiter for waiters in self._keys.values() for waiter in waiters])

    def add(self, key_id: str, waiter: _T) -> None:
        """Put a waiter, which stands nowhere in line, at the end of its key's line."""
        self._keys.setdefault(key_id, {})[waiter] = None
        self._count += 1

    def discard(self, key_id: str, waiter: _T) -> None:
        """Take a waiter out, wherever it stands; does nothing where it does not."""
        waiters = self._keys.get(key_id, {})
        if waiter not in waiters:
            return
        del waiters[waiter]
        self._count -= 1
        if not waiters:
            del self._keys[key_id]

    def take(self) -> _T:
        """Take the next one: the first of the key whose turn it is. The line is not empty."""
        key_id = next(iter(self._keys))
        waiters = self._keys.pop(key_id)
        waiter = next(iter(waiters))
        del waiters[waiter]
        self._count -= 1
        if waiters:
            self._keys[key_id] = waiters
        return waiter
