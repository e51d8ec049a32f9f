"""The rate that somebody counts on: what a job of a CI asks for."""

from math import ceil
from pathlib import Path

from scout_deploy.bench.plan import BenchPlan
from scout_deploy.errors import ProfileError, ServiceLevelMissedError
from scout_loadtest.bench_run import BenchRun


def check_min_rate(plan: BenchPlan) -> None:
    """Check, before minutes are spent on it, that a plan can judge the rate that is counted on.

    Raises:
        ProfileError: It cannot; says what can.
    """
    rate = plan.start_rate
    if rate is None or rate >= plan.least_rate:
        return
    needed_s = ceil(plan.max_try_s * plan.least_rate / rate)
    raise ProfileError(
        f"--min-rate: {plan.max_try_s:g} s, which is as long as a rate is tried, are too short to judge {rate:g} "
        f"requests/s by; the lowest that can be judged is {plan.least_rate:.3g}/s",
        next_step=f"--duration {needed_s}" if plan.budget_s is None else f"leave out --quick, or --duration {needed_s}",
    )


def is_held(run: BenchRun, min_rate: float) -> bool | None:
    """Whether this rate held, or a higher one; None where it was not to be seen."""
    if run.highest_rate is not None and run.highest_rate >= min_rate:
        return True
    return False if run.lowest_failed_rate is not None and run.lowest_failed_rate <= min_rate else None


def require_rate(run: BenchRun, min_rate: float, report: Path | None) -> None:
    """Check that this rate was seen to hold, or a higher one.

    Args:
        report: Where to read more.

    Raises:
        ServiceLevelMissedError: It was not.
    """
    held = is_held(run, min_rate)
    if held:
        return
    tried = [one for one in run.steps if one.result.load.rate == min_rate and one.because is not None]
    known = (
        "do not hold the service level" if held is False else "were not seen to hold the service level, nor to miss it"
    )
    most = "no rate that was tried does" if run.highest_rate is None else f"{run.highest_rate:.3g} do"
    raise ServiceLevelMissedError(
        f"{min_rate:g} requests/s {known}; {most}",
        next_step=None if report is None else f"see {report}",
        evidence=tuple(str(one.because) for one in tried) or ("the time was over before that rate could be tried",),
    )
