"""The service level that a measurement is held against, and whether one load held it. Pure."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from scout_deploy.profile.profile import ServiceLevel
from scout_loadtest.figures import Targets
from scout_loadtest.figures_of import e2e_ms, is_within, tpot_ms, ttft_ms
from scout_loadtest.record import Record
from scout_loadtest.step import StepResult

# One in a hundred may be beyond its target. With fewer than a hundred requests that is none of them, so that a try
# with fewer is stricter, and with very few says nothing.
ALLOWED_SHARE = 0.01
MIN_REQUESTS = 50


class Outcome(StrEnum):
    """What a load showed."""

    HELD = "held"
    MISSED = "missed"
    UNCLEAR = "unclear"  # the client was not able to offer it, or too few requests came of it


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a load showed, and why, in words."""

    outcome: Outcome
    because: str


def targets_of(level: ServiceLevel) -> Targets:
    """Return what one request has to keep."""
    return Targets(ttft_ms=level.ttft_p99_ms, tpot_ms=level.tpot_p99_ms, e2e_ms=level.e2e_p99_ms)


def declared_level(settings: Mapping[str, str]) -> ServiceLevel:
    """Return the service level of a deployment's flattened profile; none where it has none, or an odd one."""
    found = {}
    for name in ServiceLevel.model_fields:
        try:
            found[name] = float(settings[f"service_level/{name}"])
        except (KeyError, ValueError):
            continue
    return ServiceLevel.model_validate(found)


def judge(result: StepResult, level: ServiceLevel, *, min_requests: int = MIN_REQUESTS) -> Verdict:
    """Say whether the requests of a load kept the service level.

    A target binds the requests that have its quantity, and those that failed, which keep none.

    Args:
        min_requests: With fewer that were due in the measured time, nothing is said.
    """
    if result.client.reason is not None:
        return Verdict(outcome=Outcome.UNCLEAR, because=f"the client was not fast enough: {result.client.reason}")
    records = [one for one in result.records if not one.is_warm_up]
    if result.interrupted is not None:
        return Verdict(outcome=Outcome.UNCLEAR, because=f"it ended before its time: {result.interrupted}")
    if reason := next(_misses(records, level), None):
        # However few they were, as many that failed or were late cannot become one in a hundred.
        return Verdict(outcome=Outcome.MISSED, because=reason)
    if len(records) < min_requests:
        return Verdict(
            outcome=Outcome.UNCLEAR, because=f"{len(records)} requests are too few to judge by, {min_requests} are not"
        )
    return Verdict(outcome=Outcome.HELD, because=f"{len(records)} requests, all of the targets kept")


def _misses(records: list[Record], level: ServiceLevel) -> Iterator[str]:
    failed = sum(one.error is not None for one in records)
    if failed > int(ALLOWED_SHARE * len(records)):
        yield f"{failed} of {len(records)} requests failed"
    for name, target, read in _targets(level):
        values = [value for one in records if one.error is None and (value := read(one)) is not None]
        bound = failed + len(values)
        beyond = failed + sum(value > target for value in values)
        if beyond > int(ALLOWED_SHARE * bound):
            lost = f", {failed} of them failed" if failed else ""
            slowest = f"; the slowest took {max(values):.0f} ms" if values else ""
            yield f"{beyond} of {bound} requests were beyond {name} {target:g} ms{lost}{slowest}"
    if level.goodput is not None and records:
        targets = targets_of(level)
        good = sum(one.error is None and is_within(one, targets) for one in records) / len(records)
        if good < level.goodput:
            yield f"goodput {good:.1%}, and not {level.goodput:.1%}"


def _targets(level: ServiceLevel) -> Iterator[tuple[str, float, Callable[[Record], float | None]]]:
    named = (
        ("TTFT", level.ttft_p99_ms, ttft_ms),
        ("TPOT", level.tpot_p99_ms, tpot_ms),
        ("end to end", level.e2e_p99_ms, e2e_ms),
    )
    for name, target, read in named:
        if target is not None:
            yield name, target, read
