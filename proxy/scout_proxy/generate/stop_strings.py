"""Ends a text before the first of some strings, also where it comes piece by piece. Pure.

Engines keep a stop string in the text, and TGI finds one only where a token ends with it; so it is looked for here.
"""

from collections.abc import Sequence


def cut_at_stop(text: str, stops: Sequence[str]) -> str:
    """Return the text before the stop string that is complete first, as an engine does that stops there."""
    found = [(begin + len(stop), begin) for stop in stops if (begin := text.find(stop)) >= 0]
    return text[: min(found)[1]] if found else text


class StopScanner:
    """Takes a text in pieces and gives back what is certain to stand before every stop string."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._longest = max(map(len, stops), default=0)
        self._held = ""
        self.has_stopped = False

    def feed(self, piece: str) -> str:
        """Return what can be told now; nothing more after a stop string was found."""
        if self.has_stopped:
            return ""
        if not self._stops:
            return piece
        text = self._held + piece
        end = len(cut_at_stop(text, self._stops))
        self.has_stopped = end < len(text)
        told = end if self.has_stopped else len(text) - self._beginning(text)
        self._held = text[told:]
        return text[:told]

    def finish(self) -> str:
        """Return what was held back at the end of a text that no stop string ended."""
        return "" if self.has_stopped else self._held

    def _beginning(self, text: str) -> int:
        """Return the length of the longest end of `text` with which a stop string begins."""
        for length in range(min(self._longest - 1, len(text)), 0, -1):
            if any(stop.startswith(text[-length:]) for stop in self._stops):
                return length
        return 0
