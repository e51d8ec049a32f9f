"""Whether runs may be compared at all: they must have been asked the same."""

from collections.abc import Callable, Sequence

from scout_loadtest.bench_run import BenchRun
from scout_loadtest.difference import FEWEST_RUNS
from scout_loadtest.errors import InputError
from scout_loadtest.labels import load_label, targets_label
from scout_loadtest.step import Load


class NotComparableError(InputError):
    """Runs that were not asked the same."""


def check_comparable(a: Sequence[BenchRun], b: Sequence[BenchRun]) -> None:
    """Refuse runs whose figures cannot be set beside each other.

    Raises:
        NotComparableError: Says what differs.
    """
    for name, side in (("A", a), ("B", b)):
        if not side:
            raise NotComparableError(f"{name} has no run", "Name at least one run on each side.")
    if twice := sorted({run.id for run in a} & {run.id for run in b}):
        raise NotComparableError(f"Run {twice[0]} is on both sides", "Compare different runs.")
    runs = (*a, *b)
    for run in runs:
        if run.interrupted is not None:
            raise NotComparableError(
                f"Run {run.id} ended before its time ({run.interrupted})", "Leave it out, or measure it again."
            )
    _check_equal(runs, "seeds", lambda run: run.seed, "Measure again with one --seed: other requests, other figures.")
    same_targets = "Measure again with the same service level."
    _check_equal(runs, "targets", lambda run: targets_label(run.targets), same_targets)
    _check_equal(runs, "percentiles of the service level", lambda run: run.percentile, same_targets)
    _check_equal(runs, "goodput targets", lambda run: run.goodput_target, same_targets)
    same_loads = "Measure again with the same options."
    _check_equal(runs, "loads (curve)", lambda run: _loads_text(run, "curve"), same_loads)
    _check_equal(runs, "loads (gate)", lambda run: _loads_text(run, "gate"), same_loads)
    _check_searches(runs, same_loads)


def asked_alike(load: Load) -> Load:
    """Return a load that equals another's where both ask the same: where the data lies says nothing."""
    return load if load.data_sha256 is None else load.model_copy(update={"data": None})


def notes_on(a: Sequence[BenchRun], b: Sequence[BenchRun]) -> tuple[str, ...]:
    """Return what a reader of the comparison should know beside its figures."""
    runs = (*a, *b)
    notes = [*_few_runs(a, b)]
    for what, values in (
        ("machines", {run.machine for run in runs}),
        ("versions of the load test", {run.version for run in runs}),
    ):
        if len(values) > 1:
            notes.append(f"The {what} differ ({'; '.join(sorted(values))}): so may the figures, for that reason alone.")
    for run in runs:
        saturated = dict.fromkeys(load_label(step.result.load) for step in run.steps if step.result.client.reason)
        if saturated:
            notes += [f"Left out of run {run.id}, whose client was itself saturated: {', '.join(saturated)}."]
    return tuple(notes)


def _few_runs(a: Sequence[BenchRun], b: Sequence[BenchRun]) -> list[str]:
    fewest = min(len(a), len(b))
    if fewest < FEWEST_RUNS:
        counts = f"A has {_runs(a)} and B {_runs(b)}"
        advice = "One run does not say how much runs differ: two on each side are the least, three to five are of use."
        return [f"No statement is possible: {counts}. {advice}"]
    if fewest == FEWEST_RUNS:
        return ["Two runs on a side show very large changes alone: one or two more make the intervals far narrower."]
    return []


def _runs(side: Sequence[BenchRun]) -> str:
    return f"{len(side)} run{'' if len(side) == 1 else 's'}"


def _check_equal(runs: Sequence[BenchRun], what: str, value: Callable[[BenchRun], object], next_step: str) -> None:
    first = runs[0]
    for run in runs[1:]:
        if value(run) != value(first):
            raise NotComparableError(
                f"The {what} differ: run {first.id} has {value(first)}, run {run.id} has {value(run)}", next_step
            )


def _loads_text(run: BenchRun, purpose: str) -> str:
    return (
        "; ".join(dict.fromkeys(_whole_load_text(step.result.load) for step in run.steps if step.purpose == purpose))
        or "none"
    )


def _check_searches(runs: Sequence[BenchRun], next_step: str) -> None:
    """Refuse searches that tried unlike loads: their rates differ by what was found, the rest may not."""
    searched = [run for run in runs if _search_shapes(run)]
    for run in searched[1:]:
        if not _search_shapes(run) & _search_shapes(searched[0]):
            shapes = [min(_search_shapes(one)) for one in (searched[0], run)]
            raise NotComparableError(
                f"The loads (search) differ: run {searched[0].id} has {shapes[0]}, run {run.id} has {shapes[1]}",
                next_step,
            )


def _search_shapes(run: BenchRun) -> set[str]:
    return {_shape_text(step.result.load) for step in run.steps if step.purpose == "search"}


def _whole_load_text(load: Load) -> str:
    return f"{load_label(load)} {_shape_text(load)}"


def _shape_text(load: Load) -> str:
    mix = ", ".join(f"{kind} {weight:g}" for kind, weight in sorted(load.mix.items()))
    parts = [
        f"for {load.duration_s:g} s",
        f"after {load.warm_up_s:g} s" if load.warm_up_s else "",
        f"of {mix}",
        f"from {_data_text(load)}" if load.data else "",
        f"seed {load.seed}",
        f"timeout {load.request_timeout_s:g} s",
    ]
    return " ".join(part for part in parts if part)


def _data_text(load: Load) -> str:
    # What is in the file says what was asked: it may lie elsewhere, and be another one in the same place.
    return f"{load.data}" if load.data_sha256 is None else f"data with the SHA-256 {load.data_sha256[:12]}"
