"""What a start looks like: to a person, in a pipe, and to a program."""

import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from rich.console import Console

from scout_deploy.cli.durations import duration
from scout_deploy.cli.output import Output
from scout_deploy.cli.start_view import StartView
from scout_deploy.progress import Progress, Teller


@dataclass
class Clock:
    now_s: float = 100.0

    def __call__(self) -> float:
        return self.now_s


class Screen:
    """A terminal of so many columns that keeps what is written on it."""

    def __init__(self, width: int = 100) -> None:
        self.written = io.StringIO()
        self.output = Output()
        self.output.console = Console(
            file=self.written, force_terminal=True, width=width, color_system=None, soft_wrap=True, markup=False
        )

    @property
    def lines(self) -> list[str]:
        """What stays: the rows of what ended, and the notes."""
        plain = re.sub(r"\x1b\[[0-9?]*[A-Za-z]|\r", "", self.written.getvalue())
        return [line.rstrip() for line in plain.split("\n") if "✓" in line or "✗" in line or line.startswith("note")]


def started(output: Output) -> tuple[StartView, Teller, Clock]:
    clock = Clock()
    view = StartView(output, clock)
    return view, Teller(view.emit, clock), clock


def test_in_a_pipe_each_phase_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    view, tell, clock = started(Output())

    with view.shown():
        tell("pull image", "tgi:3.3.7")
        clock.now_s += 2.5
        tell("load", part="engine 0")
        tell("load", "shard 1 of 2", percent=50.4, estimate_s=90, part="engine 1")
        clock.now_s += 1200
        tell("ready", estimate_s=0)

    assert capsys.readouterr().out.splitlines() == [
        "   0.0 s  pull image tgi:3.3.7",
        "   2.5 s  load engine 0",
        "   2.5 s  load engine 1: 50 %, shard 1 of 2, about 90 s left",
        "1202.5 s  ready",
    ]


def test_in_a_pipe_a_phase_that_goes_on_is_told_now_and_then_for_each_part(capsys: pytest.CaptureFixture[str]) -> None:
    _, tell, clock = started(Output())

    for percent in range(25):
        tell("load", percent=float(percent), part="engine 0")
        tell("load", percent=float(percent), part="engine 1")
        clock.now_s += 1

    assert capsys.readouterr().out.splitlines() == [
        f"{at_s:6.1f} s  load engine {engine}: {at_s} %" for at_s in (0, 10, 20) for engine in (0, 1)
    ]


def test_notes_are_always_told(capsys: pytest.CaptureFixture[str]) -> None:
    _, tell, _ = started(Output())

    tell("load")
    tell("note", "stalled: no byte came")
    tell("note", "stalled: no byte came")
    tell("load", "more")

    assert capsys.readouterr().out.splitlines() == ["   0.0 s  load", *["note: stalled: no byte came"] * 2]


def test_a_program_reads_one_event_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    view, tell, clock = started(Output(as_json=True))

    with view.shown():
        tell("pull image", "tgi:3.3.7", percent=12.345, estimate_s=61.26)
        clock.now_s += 0.5
        tell("pull image", "too soon to tell", percent=20)
        clock.now_s += 0.6
        tell("pull image", "later", percent=30)
        tell("note", "a remark")
        tell("load", part="engine 0")

    first, *others = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert first == {
        "event": "phase",
        "phase": "pull image",
        "part": None,
        "detail": "tgi:3.3.7",
        "percent": 12.3,
        "estimate_s": 61.3,
        "elapsed_s": 0.0,
    }
    assert [(one["event"], one.get("detail"), one["elapsed_s"]) for one in others] == [
        ("progress", "later", 1.1),
        ("note", "a remark", 1.1),
        ("phase", None, 1.1),
    ]
    assert others[-1]["part"] == "engine 0"


def test_on_a_terminal_what_is_done_stays_with_its_time() -> None:
    screen = Screen()
    view, tell, clock = started(screen.output)

    with view.shown():
        tell("pull image", "tgi:3.3.7")
        clock.now_s += 3.25
        tell("load", part="engine 0")
        tell("load", part="engine 1")
        clock.now_s += 2
        tell("note", "something to know")
        tell("warm-up", part="engine 1")
        clock.now_s += 1
        tell("load", "shard 2 of 2", percent=100, part="engine 0")
        tell("ready")

    assert [" ".join(line.split()) for line in screen.lines] == [
        "✓ pull image 3.2 s tgi:3.3.7",
        "note: something to know",
        "✓ load 2.0 s engine 1",
        "✓ load 3.0 s engine 0: 100 %, shard 2 of 2",
        "✓ warm-up 1.0 s engine 1",
        "✓ ready 0.0 s",
    ]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_on_a_terminal_what_was_running_at_a_failure_is_marked(error: type[BaseException]) -> None:
    screen = Screen()
    view, tell, clock = started(screen.output)

    def start() -> None:
        with view.shown():
            tell("pull image")
            tell("load", "shard 1 of 2")
            clock.now_s += 9
            raise error

    with pytest.raises(error):
        start()
    assert [" ".join(line.split()) for line in screen.lines] == ["✓ pull image 0.0 s", "✗ load 9.0 s shard 1 of 2"]


@pytest.mark.parametrize("width", [40, 60, 100])
def test_on_a_narrow_terminal_a_row_stays_one_line(width: int) -> None:
    screen = Screen(width)
    view, tell, _ = started(screen.output)

    with view.shown():
        tell("fetch weights", "models--RedHatAI--Llama-4-Scout-17B-16E-Instruct-quantized.w4a16 " * 3, percent=3)
        tell("ready")

    row, _ = screen.lines
    assert len(row) <= width
    assert "fetch weights" in row
    assert row.endswith("…")


@pytest.mark.parametrize(
    ("estimate_s", "told"), [(0.4, "about 0 s left"), (119, "about 119 s left"), (120, "about 2 min left")]
)
def test_an_estimate_is_as_exact_as_it_can_be(estimate_s: float, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    StartView(Output()).emit(Progress(phase="load", detail=None, elapsed_s=0, estimate_s=estimate_s))

    assert capsys.readouterr().out == f"   0.0 s  load {told}\n"


def collecting() -> tuple[list[Progress], Callable[..., None]]:
    told: list[Progress] = []
    return told, Teller(told.append, Clock())


def test_the_same_phase_of_the_same_part_again_is_an_update() -> None:
    told, tell = collecting()

    tell("load", part="engine 0")
    tell("load", part="engine 1")
    tell("note", "something", part="engine 0")
    tell("load", part="engine 0")
    tell("ready")
    tell("load", part="engine 0")

    assert [one.is_update for one in told] == [False, False, False, True, False, False]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0 s"),
        (0, "0 s"),
        (59.9, "59 s"),
        (60, "1 min 0 s"),
        (303, "5 min 3 s"),
        (3600, "1 h 0 min"),
        (86_399, "23 h 59 min"),
        (183_600, "2 d 3 h"),
    ],
)
def test_a_duration_as_people_say_it(seconds: float, text: str) -> None:
    assert duration(seconds) == text
