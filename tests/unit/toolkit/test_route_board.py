"""What the proxy is told of a start, while the daemon that carries it may be away."""

from dataclasses import dataclass, field

from scout_deploy.errors import DockerUnavailableError
from scout_deploy.progress import Progress, Teller
from scout_deploy.runtimes.route_board import RouteBoard, TellBoth
from scout_proxy.route_table import Identity, RouteTable, Serving, Upstream


@dataclass
class Carrier:
    """Carries tables to the proxy, unless its daemon is away."""

    is_away: bool = False
    tables: list[RouteTable] = field(default_factory=list)

    def write(self, table: RouteTable) -> None:
        if self.is_away:
            raise DockerUnavailableError("the Docker daemon does not answer")
        self.tables.append(table)


def table() -> RouteTable:
    return RouteTable(
        revision=1,
        deployment="scout",
        profile="test",
        identity=Identity(name="Test API", model="test"),
        serving=Serving(model_id="test", engine="tgi"),
        upstreams=(Upstream(id="engine", url="http://engine:8080"),),
    )


def test_download_goes_on_while_the_daemon_is_away_and_is_told_when_it_is_back() -> None:
    carrier, shown = Carrier(), list[Progress]()
    board = RouteBoard(table(), carrier.write, lambda: 0.0)
    tell = TellBoth(Teller(shown.append), board)

    tell("pull image")
    carrier.is_away = True
    tell("fetch weights", percent=40)
    carrier.is_away = False
    tell("fetch weights", percent=50)
    board.flush()

    assert [one.phase for one in shown] == ["pull image", "fetch weights", "fetch weights"]
    phase = carrier.tables[-1].upstreams[0].phase
    assert phase is not None
    assert (phase.name, phase.percent) == ("fetch weights", 50)


def test_revision_grows_with_every_table_that_the_proxy_reads() -> None:
    carrier = Carrier()
    board = RouteBoard(table(), carrier.write, lambda: 0.0)

    board.declare(board.table.upstreams)
    board.restore(table(), None)

    assert [one.revision for one in carrier.tables] == [2, 3]
