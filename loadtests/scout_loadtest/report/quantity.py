"""The latencies that plots show, each by the same rules."""

from collections.abc import Callable
from dataclasses import dataclass

from scout_loadtest.figures import Figures, Spread, Targets
from scout_loadtest.figures_of import e2e_ms, tpot_ms, ttft_ms
from scout_loadtest.record import Record


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """One latency, in milliseconds: of a record, of a step, and what it should be at most."""

    short: str
    name: str
    of_record: Callable[[Record], float | None]
    spread: Callable[[Figures], Spread | None]
    target: Callable[[Targets], float | None]


TTFT = Quantity(
    short="TTFT",
    name="Time to first token",
    of_record=ttft_ms,
    spread=lambda figures: figures.ttft_ms,
    target=lambda targets: targets.ttft_ms,
)
TPOT = Quantity(
    short="TPOT",
    name="Time per output token",
    of_record=tpot_ms,
    spread=lambda figures: figures.tpot_ms,
    target=lambda targets: targets.tpot_ms,
)
E2E = Quantity(
    short="end to end",
    name="End to end",
    of_record=e2e_ms,
    spread=lambda figures: figures.e2e_ms,
    target=lambda targets: targets.e2e_ms,
)
QUANTITIES = (TTFT, TPOT, E2E)
