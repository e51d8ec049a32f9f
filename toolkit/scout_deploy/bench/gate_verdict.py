"""Whether new engines pass: a short measurement held against the service level, with what so few requests say. Pure."""

from collections.abc import Iterator

from scout_deploy.bench.gate_load import is_cut_short
from scout_deploy.bench.service_level import Outcome, Verdict, judge, targets_of
from scout_deploy.profile.profile import ServiceLevel
from scout_loadtest.client_health import MOST_CPU
from scout_loadtest.figures import Spread
from scout_loadtest.figures_of import figures_of
from scout_loadtest.record import ErrorKind, Record
from scout_loadtest.step import StepResult

# Fewer say nothing: the engines may just have begun.
FEWEST = 5
# From here on one request may be beyond its target, and the 99th percentile is not simply the slowest.
_ENOUGH_FOR_P99 = 100
_UNPROCESSABLE = 422
_WHOLE_FROM_MS = 100
# A client whose clock is late now and then makes some requests look late, and never most of them.
_MOST = 0.5


def judge_gate(result: StepResult, level: ServiceLevel) -> Verdict:
    """Say whether the engines kept the service level.

    A client that was too slow measured what is worse than the truth: what held for it holds, and what it missed says
    nothing, unless it is most of all. Answers that had less time than usual say nothing where they did not come.
    """
    judged = _judged(result, level)
    slow = judged.client.reason
    fast = judged.model_copy(update={"client": judged.client.model_copy(update={"reason": None})})
    verdict = judge(fast, level, min_requests=FEWEST)
    count = judged.figures.requests
    if verdict.outcome is not Outcome.MISSED:
        return verdict
    if count < FEWEST:
        return _unclear(f"{count} requests are too few to judge by: {verdict.because}")
    late = judged.figures.errors.get(ErrorKind.TIMEOUT, 0)
    if late and is_cut_short(judged.load):
        return _unclear(
            f"{late} of {count} requests had no whole answer within {judged.load.request_timeout_s:.1f} s, and that is "
            "all the time that there was"
        )
    if slow is not None and (judged.client.cpu > MOST_CPU or (judged.figures.goodput or 0.0) > 1 - _MOST):
        return _unclear(f"{verdict.because}, but what sent the requests was not fast enough itself: {slow}")
    return verdict


def gate_figures(result: StepResult, level: ServiceLevel) -> str:
    """Return the figures in one line, each beside its target."""
    figures = _judged(result, level).figures
    count = figures.requests
    statistic = "p99" if figures.succeeded >= _ENOUGH_FOR_P99 else "slowest"
    quantities: tuple[tuple[str, Spread | None, float | None], ...] = (
        ("TTFT", figures.ttft_ms, level.ttft_p99_ms),
        ("TPOT", figures.tpot_ms, level.tpot_p99_ms),
        ("end to end", figures.e2e_ms, level.e2e_p99_ms),
    )
    parts = [
        f"{name} {_milliseconds(spread.p99)} (at most {target:g})"
        for name, spread, target in quantities
        if spread is not None and target is not None
    ]
    if level.goodput is not None and figures.goodput is not None:
        parts.append(f"goodput {figures.goodput:.1%} (at least {level.goodput:.1%})")
    refused = result.figures.requests - count
    too_long = f", {refused} more were too long for the model" if refused else ""
    said = ", ".join(parts) or "nothing was answered"
    return f"{statistic} of {count} requests: {said}; {count - figures.succeeded or 'none'} failed{too_long}"


def _milliseconds(value: float) -> str:
    return f"{value:.0f} ms" if value >= _WHOLE_FROM_MS else f"{value:.3g} ms"


def _judged(result: StepResult, level: ServiceLevel) -> StepResult:
    """Leave out what the model has no room for: the prompts are the gate's, and say nothing of the engines."""
    records = tuple(_answerable(result.records))
    figures = figures_of(records, load=result.load, targets=targets_of(level))
    return result.model_copy(update={"records": records, "figures": figures})


def _answerable(records: tuple[Record, ...]) -> Iterator[Record]:
    return (one for one in records if one.error is not ErrorKind.CLIENT or one.status != _UNPROCESSABLE)


def _unclear(because: str) -> Verdict:
    return Verdict(outcome=Outcome.UNCLEAR, because=because)
