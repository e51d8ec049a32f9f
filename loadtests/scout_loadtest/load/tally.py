"""What became of the requests of one kind, in constant memory; adds up over processes."""

from collections import Counter
from typing import Any

from scout_loadtest.figures import Targets
from scout_loadtest.figures_of import e2e_ms, is_within, tokens_per_s, tpot_ms, ttft_ms
from scout_loadtest.load.sketch import Sketch
from scout_loadtest.record import Record

_COUNTS = (
    "requests",
    "succeeded",
    "input_tokens",
    "output_tokens",
    "uncounted",
    "said_cache",
    "hits",
    "judged",
    "good",
)
NO_TARGETS = Targets()
_SKETCHES = ("ttft_ms", "tpot_ms", "gap_ms", "e2e_ms", "queued_ms", "late_ms", "tokens_per_s")


class Tally:
    """Counts and distributions.

    Args:
        errors: How many of each kind.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter(dict.fromkeys(_COUNTS, 0))
        self.errors: Counter[str] = Counter()
        self.sketches = {name: Sketch() for name in _SKETCHES}

    def add(self, record: Record, targets: Targets = NO_TARGETS) -> None:
        """Take a record.

        Args:
            targets: What makes it a good one; none judges nothing.
        """
        self.counts["requests"] += 1
        self.counts["judged"] += targets != NO_TARGETS
        self.sketches["late_ms"].add((record.sent_s - record.due_s) * 1000)
        if record.error is not None:
            self.errors[record.error.value] += 1
            return
        self.counts["succeeded"] += 1
        self.counts["good"] += targets != NO_TARGETS and is_within(record, targets)
        self.counts["input_tokens"] += record.input_tokens or 0
        self.counts["output_tokens"] += record.output_tokens or 0
        self.counts["uncounted"] += record.output_tokens is None
        self.counts["said_cache"] += record.cache is not None
        self.counts["hits"] += record.cache == "HIT"
        values = {
            "ttft_ms": ttft_ms(record),
            "tpot_ms": tpot_ms(record),
            "e2e_ms": e2e_ms(record),
            "queued_ms": record.queued_ms,
            "tokens_per_s": tokens_per_s(record),
        }
        for name, value in values.items():
            if value is not None:
                self.sketches[name].add(value)
        for gap in record.gaps_ms:
            self.sketches["gap_ms"].add(gap)

    def message(self) -> dict[str, Any]:
        """Return all of it as what can be sent."""
        sketches = {name: sketch.pairs() for name, sketch in self.sketches.items()}
        return {"counts": dict(self.counts), "errors": dict(self.errors), "sketches": sketches}

    def merge(self, message: dict[str, Any]) -> None:
        """Take what another one sent."""
        self.counts.update(message["counts"])
        self.errors.update(message["errors"])
        for name, pairs in message["sketches"].items():
            self.sketches[name].merge(pairs)
