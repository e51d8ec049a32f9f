"""Whether the client kept up. Where it did not, it measured itself."""

from collections.abc import Sequence

from scout_loadtest.spread import percentile
from scout_loadtest.step import ClientHealth

MOST_CPU = 0.85
MOST_LATE_MS = 50.0


def judge(*, cpu: float, late_ms: Sequence[float] | None, loop_late_ms: Sequence[float]) -> ClientHealth:
    """Return how the client did.

    Args:
        cpu: Share of one processor.
        late_ms: How late each request was sent, in an open loop.
        loop_late_ms: How late the client's own clock woke it, sampled; what each of its time stamps may be late too.
    """
    late_p99_ms = _p99(late_ms) if late_ms is not None else None
    reasons = []
    if cpu > MOST_CPU:
        reasons.append(f"it used {cpu:.0%} of its one processor (the bound is {MOST_CPU:.0%})")
    if late_p99_ms is not None and late_p99_ms > MOST_LATE_MS:
        reasons.append(f"one request in a hundred was sent {late_p99_ms:.0f} ms late (the bound is {MOST_LATE_MS:.0f})")
    if (loop_p99_ms := _p99(loop_late_ms)) > MOST_LATE_MS:
        reasons.append(f"its clock was {loop_p99_ms:.0f} ms late (the bound is {MOST_LATE_MS:.0f})")
    return ClientHealth(cpu=cpu, late_p99_ms=late_p99_ms, reason="; ".join(reasons) or None)


def _p99(values: Sequence[float]) -> float:
    return percentile(sorted(values), 99) if values else 0.0
