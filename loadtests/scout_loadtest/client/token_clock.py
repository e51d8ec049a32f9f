"""When the tokens of one answer came."""


class TokenClock:
    """Notes each piece of text when it arrives. Times are seconds on one monotonic clock."""

    def __init__(self) -> None:
        self.first_s: float | None = None
        self.last_s: float | None = None
        self.pieces = 0
        self.gaps_ms: list[float] = []
        self._last_of: dict[int, float] = {}

    def note(self, sequence: int, at_s: float) -> None:
        """Note a piece of a sequence."""
        if self.first_s is None:
            self.first_s = at_s
        last = self._last_of.get(sequence)
        if last is not None:
            self.gaps_ms.append((at_s - last) * 1000)
        self._last_of[sequence] = self.last_s = at_s
        self.pieces += 1
