"""How often the proxy is told of a start, and what."""

import pytest

from scout_deploy.engines.adapter import StartPhase
from scout_deploy.runtimes.route_board import RouteBoard
from scout_proxy.route_table import Hold, Identity, RouteTable, Serving, Upstream, UpstreamState


class Board:
    """A board on a clock of its own, and the tables that it wrote."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.written: list[RouteTable] = []
        upstreams = tuple(Upstream(id=name, url=f"http://{name}:8080") for name in "ab")
        table = RouteTable(
            revision=1,
            deployment="scout",
            profile="test",
            identity=Identity(name="Test API", model="test"),
            serving=Serving(model_id="test", engine="tgi"),
            upstreams=upstreams,
        )
        self.board = RouteBoard(table, self.written.append, lambda: self.now_s)

    def load(self, percent: float) -> None:
        self.board.phase("a", StartPhase(name="load", percent=percent), 9.0)


@pytest.fixture
def told() -> Board:
    return Board()


def test_a_phase_is_written_once_a_second(told: Board) -> None:
    for percent in range(25):
        told.load(float(percent))
        told.now_s += 0.125

    percents = [one.upstreams[0].phase.percent for one in told.written if one.upstreams[0].phase is not None]
    assert percents == [0, 8, 16, 24]


@pytest.mark.parametrize("at_once", [False, True])
def test_the_next_phase_waits_for_its_second_unless_nobody_would_write_it(told: Board, *, at_once: bool) -> None:
    told.load(1.0)
    told.board.phase("a", StartPhase(name="warm-up"), None, at_once=at_once)
    names = [one.upstreams[0].phase.name for one in told.written if one.upstreams[0].phase]
    told.now_s = 1.0
    told.board.flush_if_due()

    assert names == (["load", "warm-up"] if at_once else ["load"])
    phase = told.written[-1].upstreams[0].phase
    assert phase is not None
    assert (phase.name, len(told.written)) == ("warm-up", 2)


def test_what_was_held_back_is_written_when_it_is_due_and_only_then(told: Board) -> None:
    told.load(1.0)
    told.load(2.0)
    told.board.flush_if_due()
    assert len(told.written) == 1

    told.now_s = 1.0
    told.board.flush_if_due()
    told.now_s = 9.0
    told.board.flush_if_due()

    assert [one.upstreams[0].phase.percent for one in told.written if one.upstreams[0].phase] == [1.0, 2.0]


def test_states_are_set_of_all_or_of_some(told: Board) -> None:
    told.board.state(UpstreamState.RUNNING)
    told.board.state(UpstreamState.DRAINING, ["b"])

    assert [[one.state for one in table.upstreams] for table in told.written] == [
        [UpstreamState.RUNNING, UpstreamState.RUNNING],
        [UpstreamState.RUNNING, UpstreamState.DRAINING],
    ]
    assert [table.revision for table in told.written] == [2, 3]


def test_a_hold_ends_with_the_next_declaration(told: Board) -> None:
    hold = Hold(max_wait_s=5)
    told.board.declare((), hold)
    told.board.declare((Upstream(id="c", url="http://c:8080"),))

    assert [(table.hold, [one.id for one in table.upstreams]) for table in told.written] == [(hold, []), (None, ["c"])]
