"""Figures from records."""

from collections import Counter
from collections.abc import Iterable, Sequence

from scout_loadtest.figures import Figures, Targets
from scout_loadtest.record import Record
from scout_loadtest.spread import spread_of
from scout_loadtest.step import Load

_HIT = "HIT"


def figures_of(
    records: Sequence[Record], *, load: Load, targets: Targets, ended_early_s: float | None = None
) -> Figures:
    """Return what a load's records come to; see `Figures` for what each of them counts.

    Args:
        records: All of them, the warm-up's too.
        ended_early_s: When the load was interrupted, in the records' time.
    """
    begins_s = load.warm_up_s
    ends_s = begins_s + load.duration_s
    if ended_early_s is not None:
        ends_s = min(ends_s, max(ended_early_s, begins_s))
    measured_s = ends_s - begins_s
    due = [record for record in records if not record.is_warm_up and begins_s <= record.due_s < ends_s]
    good = [record for record in due if record.error is None]
    in_time = [record for record in records if record.error is None and begins_s <= record.ended_s < ends_s]
    said_cache = [record.cache for record in good if record.cache is not None]
    has_target = targets != Targets()

    def a_second(count: float) -> float:
        return count / measured_s if measured_s else 0.0

    return Figures(
        measured_s=measured_s,
        requests=len(due),
        succeeded=len(good),
        offered_per_s=a_second(len(due)),
        answered_per_s=a_second(len(in_time)),
        ttft_ms=spread_of(_known(ttft_ms(record) for record in good)),
        tpot_ms=spread_of(_known(tpot_ms(record) for record in good)),
        gap_ms=spread_of([gap for record in good for gap in record.gaps_ms]),
        e2e_ms=spread_of([e2e_ms(record) for record in good]),
        queued_ms=spread_of(_known(record.queued_ms for record in good)),
        input_tokens=sum(record.input_tokens or 0 for record in good),
        output_tokens=sum(record.output_tokens or 0 for record in good),
        output_tokens_per_s=a_second(sum(_tokens_between(record, begins_s, ends_s) for record in records)),
        output_tokens_per_s_per_user=spread_of(_known(tokens_per_s(record) for record in good)),
        uncounted=sum(record.output_tokens is None for record in good),
        hit_rate=said_cache.count(_HIT) / len(said_cache) if said_cache else None,
        goodput=sum(is_within(record, targets) for record in good) / len(due) if has_target and due else None,
        errors=dict(Counter(record.error.value for record in due if record.error is not None)),
    )


def ttft_ms(record: Record) -> float | None:
    """Return the time to the first token, from when the request was due."""
    return None if record.first_token_s is None else (record.first_token_s - record.due_s) * 1000


def e2e_ms(record: Record) -> float:
    """Return the time to the whole answer, from when the request was due."""
    return (record.ended_s - record.due_s) * 1000


def tpot_ms(record: Record) -> float | None:
    """Return the time per output token after the first, of one sequence."""
    if record.first_token_s is None or record.last_token_s is None or record.output_tokens is None:
        return None
    later_tokens = record.output_tokens / record.sequences - 1
    return (record.last_token_s - record.first_token_s) * 1000 / later_tokens if later_tokens > 0 else None


def tokens_per_s(record: Record) -> float | None:
    """Return how fast its own client got its tokens."""
    took_s = record.ended_s - record.sent_s
    return record.output_tokens / took_s if record.output_tokens and took_s > 0 else None


def is_within(record: Record, targets: Targets) -> bool:
    """Whether a request that succeeded did so within the targets that bind it."""
    pairs = ((ttft_ms(record), targets.ttft_ms), (tpot_ms(record), targets.tpot_ms), (e2e_ms(record), targets.e2e_ms))
    return all(value is None or target is None or value <= target for value, target in pairs)


def _tokens_between(record: Record, begins_s: float, ends_s: float) -> float:
    """Return how many of a request's tokens came in a time, were they spread evenly; of one that failed too."""
    if not record.output_tokens:
        return 0.0
    first_s = record.sent_s if record.first_token_s is None else record.first_token_s
    last_s = record.ended_s if record.last_token_s is None else record.last_token_s
    if last_s <= first_s:
        return float(record.output_tokens) if begins_s <= last_s < ends_s else 0.0
    return record.output_tokens * max(0.0, min(last_s, ends_s) - max(first_s, begins_s)) / (last_s - first_s)


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]
