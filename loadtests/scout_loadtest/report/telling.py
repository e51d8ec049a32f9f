"""Which step of a run tells most."""

from scout_loadtest.bench_run import BenchRun, Step


def telling_step(run: BenchRun) -> Step | None:
    """Return the step that the verdict is about.

    Of a search, the highest rate that held, or else the lowest that missed; of a gate, its last step; of a curve,
    the one with the highest throughput. None where nothing was measured.
    """
    searched = [step for step in run.steps if step.purpose == "search"]
    if held := [step for step in searched if step.holds]:
        return max(held, key=_rate)
    if searched:
        return min(searched, key=_rate)
    if gates := [step for step in run.steps if step.purpose == "gate"]:
        return gates[-1]
    return max(run.steps, key=_throughput, default=None)


def has_output_tokens(run: BenchRun) -> bool:
    """Whether throughput can be told in tokens; in requests where no answer said how many it has."""
    return any(step.result.figures.output_tokens_per_s > 0 for step in run.steps)


def _rate(step: Step) -> float:
    return step.result.load.rate or 0.0


def _throughput(step: Step) -> tuple[float, float]:
    return step.result.figures.output_tokens_per_s, step.result.figures.answered_per_s
