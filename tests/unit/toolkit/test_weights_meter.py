from scout_deploy.progress import Progress, Teller
from scout_deploy.weights.repository import DownloadProgress
from scout_deploy.weights_meter import Meter


class Watched:
    """A download on a clock of its own, and what was told of it."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.shown: list[Progress] = []
        self.meter = Meter(Teller(self.shown.append, self.clock), self.clock)

    def clock(self) -> float:
        return self.now_s

    @property
    def told(self) -> list[tuple[str, str | None, float | None]]:
        return [(one.phase, one.detail, one.percent) for one in self.shown]

    def at(
        self,
        now_s: float,
        done_bytes: int,
        total_bytes: int = 10_000_000_000,
        waits_for: str | None = None,
        retries: int = 0,
    ) -> None:
        self.now_s = now_s
        self.meter.show(
            DownloadProgress(
                done_bytes=done_bytes,
                total_bytes=total_bytes,
                waits_for=waits_for,
                retries=retries,
                trouble=f"break {retries}" if retries else None,
            )
        )

    @property
    def notes(self) -> list[str | None]:
        return [detail for phase, detail, _ in self.told if phase == "note"]


def test_bytes_rate_and_percentage_are_shown() -> None:
    watched = Watched()

    watched.at(0, 0)
    watched.at(10, 1_000_000_000)

    assert watched.told == [
        ("fetch weights", "0.00 of 10.00 GB", 0.0),
        ("fetch weights", "1.00 of 10.00 GB, 100.0 MB/s, 90 s left", 10.0),
    ]


def test_a_stall_is_told_once_until_bytes_come_again() -> None:
    watched = Watched()
    for now_s, done_bytes in [(0, 0), (29, 0), (30, 0), (45, 0), (46, 5), (80, 5)]:
        watched.at(now_s, done_bytes)

    assert watched.notes == [
        "stalled: no byte came for 30 s; the network, or the hub; still trying",
        "stalled: no byte came for 34 s; the network, or the hub; still trying",
    ]


def test_a_download_of_nothing_has_no_percentage() -> None:
    watched = Watched()

    watched.at(0, 0, total_bytes=0)

    assert watched.told == [("fetch weights", "0.00 of 0.00 MB", None)]


def test_a_small_model_is_counted_in_megabytes() -> None:
    watched = Watched()

    watched.at(0, 400_000, total_bytes=1_600_000)

    assert watched.told == [("fetch weights", "0.40 of 1.60 MB", 25.0)]


def test_a_wait_for_another_command_is_told_once() -> None:
    watched = Watched()

    for now_s in range(3):
        watched.at(now_s, 1_000_000_000 * now_s, waits_for="process 7")

    assert watched.notes == ["process 7 fetches this model already; waiting for it"]


def test_each_connection_that_broke_is_told_once() -> None:
    watched = Watched()

    for now_s, retries in enumerate([0, 1, 1, 2, 2]):
        watched.at(now_s, 1_000_000_000 * now_s, retries=retries)

    assert watched.notes == ["break 1", "break 2"]
