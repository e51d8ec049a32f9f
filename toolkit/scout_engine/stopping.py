"""TGI's stop strings: kept in the text, and matched only where a token ends."""

from collections.abc import Sequence


class StopMatcher:
    """Watch one generated text for its stop strings.

    TGI tests the regular expression `stop$` after each token (server/text_generation_server/utils/tokens.py), so a stop
    string inside a token is not seen, and one before a final newline is.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._endings = tuple(ending for stop in stops for ending in (stop, stop + "\n"))
        self._longest = max((len(ending) for ending in self._endings), default=0)
        self._tail = ""

    def ends_with_stop(self, text: str) -> bool:
        """Add one token's text and say whether the generation ends here."""
        if not self._endings:
            return False
        self._tail = (self._tail + text)[-self._longest :]
        return self._tail.endswith(self._endings)
