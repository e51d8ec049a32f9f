"""What a run says of a search that it had no time for."""

import pytest

from fakes.bench_runs import PlayedServer, load, played_run
from scout_loadtest.bench_run import BenchRun
from scout_loadtest.figures import Targets
from scout_loadtest.report.verdict import verdict_of


def curve(**changes: object) -> BenchRun:
    """A run that was to search, and has a curve alone."""
    run = played_run([("curve", load(users=4, duration_s=10))], PlayedServer())
    return run.model_copy(update={"least_rate": 3.5, **changes})


def test_a_search_that_there_was_no_time_for_is_told() -> None:
    assert [one for one in verdict_of(curve()).warnings if one.startswith("No rate was searched: ")]


@pytest.mark.parametrize("changes", [{"least_rate": None}, {"targets": Targets()}, {"interrupted": "Ctrl-C"}])
def test_nothing_is_said_where_none_was_wanted_or_the_run_was_ended(changes: dict[str, object]) -> None:
    assert not [one for one in verdict_of(curve(**changes)).warnings if one.startswith("No rate was searched")]
