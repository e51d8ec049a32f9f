"""Server-sent events, line by line (HTML Living Standard §9.2.6)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """One event: its name, empty where it has none, and its data."""

    name: str
    data: str


class EventReader:
    """Takes the lines of a stream and gives its events."""

    def __init__(self) -> None:
        self._name = ""
        self._data: list[str] = []

    def take(self, line: bytes) -> Event | None:
        """Take a line with its end; return the event that it ends, if it does.

        Raises:
            UnicodeDecodeError: It is not UTF-8.
        """
        text = line.decode().rstrip("\r\n")
        if not text:
            return self._ended()
        field, _, value = text.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
        elif field == "event":
            self._name = value
        return None

    def _ended(self) -> Event | None:
        name, data = self._name, self._data
        self._name, self._data = "", []
        return Event(name, "\n".join(data)) if data else None
