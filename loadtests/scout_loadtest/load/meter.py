"""Keeps the records of a running load, and says how it goes."""

from dataclasses import dataclass

from scout_loadtest.figures_of import ttft_ms
from scout_loadtest.record import Record
from scout_loadtest.spread import percentile


@dataclass(frozen=True)
class Progress:
    """How the load goes.

    Args:
        ttft_p50_ms: Of the answers that ended since the last time; None where no stream did.
        output_tokens_per_s: Likewise.
    """

    elapsed_s: float
    sent: int
    ended: int
    failed: int
    in_flight: int
    ttft_p50_ms: float | None
    output_tokens_per_s: float


class Meter:
    """Counts requests as they begin and end."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.begun = 0
        self._failed = 0
        self._told = 0
        self._told_s = 0.0

    @property
    def in_flight(self) -> int:
        """How many wait for their answers."""
        return self.begun - len(self.records)

    def begin(self) -> None:
        """Count a request that is about to be sent."""
        self.begun += 1

    def end(self, record: Record) -> None:
        """Take what came of it."""
        self.records.append(record)
        self._failed += record.error is not None

    def progress(self, now_s: float) -> Progress:
        """Return how it goes now."""
        lately = [record for record in self.records[self._told :] if record.error is None]
        first_tokens = sorted(value for record in lately if (value := ttft_ms(record)) is not None)
        tokens = sum(record.output_tokens or 0 for record in lately)
        since_s = now_s - self._told_s
        self._told, self._told_s = len(self.records), now_s
        return Progress(
            elapsed_s=now_s,
            sent=self.begun,
            ended=len(self.records),
            failed=self._failed,
            in_flight=self.in_flight,
            ttft_p50_ms=percentile(first_tokens, 50) if first_tokens else None,
            output_tokens_per_s=tokens / since_s if since_s > 0 else 0.0,
        )
