"""The rate that somebody counts on: what a job of a CI asks for."""

from pathlib import Path

from scout_deploy.errors import ServiceLevelMissedError
from scout_loadtest.bench_run import BenchRun


def require_rate(run: BenchRun, min_rate: float, report: Path | None) -> None:
    """Check that the search found this rate to hold, or a higher one.

    Args:
        report: Where to read more.

    Raises:
        ServiceLevelMissedError: It did not.
    """
    if run.highest_rate is not None and run.highest_rate >= min_rate:
        return
    most = "no rate that was tried does" if run.highest_rate is None else f"{run.highest_rate:.3g} do"
    tried = [one for one in run.steps if one.result.load.rate == min_rate and one.because is not None]
    raise ServiceLevelMissedError(
        f"{min_rate:g} requests/s do not hold the service level; {most}",
        next_step=None if report is None else f"see {report}",
        evidence=tuple(str(one.because) for one in tried),
    )
