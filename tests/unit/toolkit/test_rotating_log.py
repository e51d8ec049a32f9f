from pathlib import Path

from scout_deploy.log_reader import LogFollower, last_lines
from scout_deploy.rotating_log import RotatingLog, rotated


def test_the_disk_never_holds_more_than_the_bound(tmp_path: Path) -> None:
    log = RotatingLog(tmp_path / "engine.log", max_bytes=100, keep=2)

    for number in range(200):
        log.write_line(f"line {number:03d}")

    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["engine.log", "engine.log.1", "engine.log.2"]
    assert all(file.stat().st_size <= 100 for file in files)
    assert last_lines(tmp_path / "engine.log", 3) == ("line 197", "line 198", "line 199")


def test_a_line_longer_than_a_file_is_cut(tmp_path: Path) -> None:
    log = RotatingLog(tmp_path / "engine.log", max_bytes=100)

    log.write_line("x" * 5000)

    assert (tmp_path / "engine.log").stat().st_size == 100


def test_a_directory_that_went_away_loses_lines_and_says_how_many(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    log = RotatingLog(folder / "engine.log")
    log.write_line("one")
    (folder / "engine.log").unlink()
    folder.rmdir()

    log.write_line("two")
    log.write_line("three")
    folder.mkdir()
    log.write_line("four")

    written = (folder / "engine.log").read_text(encoding="utf-8").splitlines()
    assert written == ["(2 lines lost: the log could not be written)", "four"]
    assert log.tail(4) == ("one", "two", "three", "four")


def test_a_full_disk_does_not_stop_the_writer() -> None:
    log = RotatingLog(Path("/dev/full"))

    log.write_line("lost")

    assert log.tail(1) == ("lost",)


def test_last_lines_reach_into_the_rotated_file(tmp_path: Path) -> None:
    path = tmp_path / "proxy.log"
    rotated(path, 1).write_text("1\n2\n3\n", encoding="utf-8")
    path.write_text("4\n", encoding="utf-8")

    assert last_lines(path, 3) == ("2", "3", "4")
    assert last_lines(path, 0) == ()
    assert last_lines(tmp_path / "missing.log", 5) == ()


def test_a_follower_misses_nothing_across_a_rotation(tmp_path: Path) -> None:
    path = tmp_path / "proxy.log"
    log = RotatingLog(path, max_bytes=40, keep=2)
    log.write_line("before")
    follower = LogFollower(path)

    seen: list[str] = []
    for number in range(12):
        log.write_line(f"line {number}")
        seen += follower.new_lines()

    assert seen == [f"line {number}" for number in range(12)]


def test_a_follower_holds_back_a_line_until_its_end_has_come(tmp_path: Path) -> None:
    path = tmp_path / "proxy.log"
    follower = LogFollower(path)

    path.write_text("half", encoding="utf-8")
    first = follower.new_lines()
    path.write_text("half and half\n", encoding="utf-8")

    assert first == ()
    assert follower.new_lines() == ("half and half",)
