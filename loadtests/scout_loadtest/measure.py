"""The figures that runs are compared by: which way is better, and how much is worth a word."""

from collections.abc import Callable
from dataclasses import dataclass

from scout_loadtest.figures import Figures, Spread


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One figure.

    Args:
        value: Of a step's figures; None where the step has none.
        is_more_better: Whether a higher value is the better one.
        practical_share: A change below this share of A's mean is of no use to anybody, however sure.
        practical: The same as an absolute value; the larger counts.
        is_share: Of requests: it cannot be known finer than one request.
    """

    name: str
    unit: str
    value: Callable[[Figures], float | None]
    is_more_better: bool = False
    practical_share: float = 0.05
    practical: float = 0.0
    is_share: bool = False


def error_share(figures: Figures) -> float | None:
    """Return the share of the requests that failed; None where there was no request."""
    return 1 - figures.succeeded / figures.requests if figures.requests else None


def _spread(spread: Spread | None, value: Callable[[Spread], float]) -> float | None:
    return None if spread is None else value(spread)


STEP_MEASURES = (
    Measure(name="TTFT p50", unit="ms", value=lambda figures: _spread(figures.ttft_ms, lambda one: one.p50)),
    Measure(name="TTFT p99", unit="ms", value=lambda figures: _spread(figures.ttft_ms, lambda one: one.p99)),
    Measure(name="TPOT p50", unit="ms", value=lambda figures: _spread(figures.tpot_ms, lambda one: one.p50)),
    Measure(name="TPOT p99", unit="ms", value=lambda figures: _spread(figures.tpot_ms, lambda one: one.p99)),
    Measure(name="gap p99", unit="ms", value=lambda figures: _spread(figures.gap_ms, lambda one: one.p99)),
    Measure(name="end to end p50", unit="ms", value=lambda figures: _spread(figures.e2e_ms, lambda one: one.p50)),
    Measure(name="end to end p99", unit="ms", value=lambda figures: _spread(figures.e2e_ms, lambda one: one.p99)),
    Measure(
        name="output tokens",
        unit="tokens/s",
        value=lambda figures: figures.output_tokens_per_s if figures.output_tokens else None,
        is_more_better=True,
    ),
    Measure(name="answered", unit="requests/s", value=lambda figures: figures.answered_per_s, is_more_better=True),
    Measure(
        name="goodput",
        unit="share",
        value=lambda figures: figures.goodput,
        is_more_better=True,
        practical_share=0.0,
        practical=0.01,
        is_share=True,
    ),
    Measure(name="errors", unit="share", value=error_share, practical_share=0.0, practical=0.005, is_share=True),
)
