"""What `up` shows while it waits: a row for each phase, the running ones with their clocks on a terminal."""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator

from rich.console import Group
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from scout_deploy.cli.output import Output
from scout_deploy.progress import Progress

_REFRESH_PER_SECOND = 12
# In a pipe, a phase that goes on is worth a line now and then; a program that reads events wants more of them.
_LINE_EVERY_S = 10.0
_EVENT_EVERY_S = 1.0
_MINUTE_S = 60
# A terminal writes `^C` behind the row that is redrawn; in a full one that would begin a new line, and leave the row.
_ECHO_OF_CTRL_C = 2


class StartView:
    """Shows `Progress` as it comes; use `shown()` around the work.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, output: Output, clock: Callable[[], float] = time.monotonic) -> None:
        self._output = output
        self._clock = clock
        self._began_s = clock()
        self._running: dict[str | None, Progress] = {}
        self._started_s: dict[str | None, float] = {}
        self._said_s: dict[str | None, float] = {}
        self._spinner = Spinner("dots", style="cyan")

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Redraw the running phases on a terminal; elsewhere nothing has to be redrawn."""
        if not self._output.is_live:
            yield
            return
        live = Live(
            console=self._output.console,
            get_renderable=self._rows,
            refresh_per_second=_REFRESH_PER_SECOND,
            transient=True,
        )
        with live:
            try:
                yield
            except BaseException:
                self.give_up()
                raise
            self._finish(self._running)

    def give_up(self) -> None:
        """Show that the running phases came to nothing, where no exception says it."""
        self._finish(self._running, Text("✗", style="red"))

    def emit(self, progress: Progress) -> None:
        """Show the beginning of a phase, which is the end of the one before, or how far it is."""
        if progress.phase == "note":
            self._output.line(f"note: {progress.detail}", style="yellow")
            self._output.event({"event": "note", "detail": progress.detail, "elapsed_s": round(progress.elapsed_s, 3)})
            return
        if not progress.is_update:
            self._begin(progress)
        self._running[progress.part] = progress
        if self._is_worth_saying(progress):
            self._said_s[progress.part] = progress.elapsed_s
            self._say(progress)

    def _begin(self, progress: Progress) -> None:
        ended = list(self._running) if progress.part is None else [progress.part, None]
        self._finish(one for one in ended if one in self._running)
        self._started_s[progress.part] = progress.elapsed_s

    def _is_worth_saying(self, progress: Progress) -> bool:
        every_s = _EVENT_EVERY_S if self._output.as_json else _LINE_EVERY_S
        return not progress.is_update or progress.elapsed_s - self._said_s.get(progress.part, 0.0) >= every_s

    def _say(self, progress: Progress) -> None:
        self._output.event(
            {
                "event": "progress" if progress.is_update else "phase",
                "phase": progress.phase,
                "part": progress.part,
                "detail": progress.detail,
                "percent": None if progress.percent is None else round(progress.percent, 1),
                "estimate_s": None if progress.estimate_s is None else round(progress.estimate_s, 1),
                "elapsed_s": round(progress.elapsed_s, 3),
            }
        )
        if not self._output.is_live:
            text = " ".join(part for part in (progress.phase, _facts(progress)) if part)
            self._output.line(f"{progress.elapsed_s:6.1f} s  {text}")

    def _finish(self, parts: Iterable[str | None], mark: Text | None = None) -> None:
        for part in list(parts):
            progress = self._running.pop(part)
            if self._output.is_live:
                self._output.console.print(self._row(mark or Text("✓", style="green"), progress))

    def _rows(self) -> Group:
        return Group(*(self._row(self._spinner, progress) for progress in self._running.values()))

    def _row(self, mark: Spinner | Text, progress: Progress) -> Table:
        took_s = self._clock() - self._began_s - self._started_s.get(progress.part, 0.0)
        # The last column takes what is left of the width, so that long details never push out the others.
        row = Table.grid(padding=(0, 1), expand=True)
        row.width = max(1, self._output.console.width - _ECHO_OF_CTRL_C)
        row.add_column(width=2, justify="right")
        row.add_column(width=18)
        row.add_column(width=8, justify="right")
        row.add_column(style="dim", overflow="ellipsis", no_wrap=True, ratio=1)
        row.add_row(mark, progress.phase, f"{max(0.0, took_s):.1f} s", _facts(progress))
        return row


def _facts(progress: Progress) -> str:
    percent = "" if progress.percent is None else f"{progress.percent:.0f} %"
    estimate = "" if not progress.estimate_s else f"about {_duration(progress.estimate_s)} left"
    facts = ", ".join(fact for fact in (percent, progress.detail, estimate) if fact)
    return f"{progress.part}: {facts}" if progress.part and facts else progress.part or facts


def _duration(seconds: float) -> str:
    minutes = round(seconds / _MINUTE_S)
    return f"{seconds:.0f} s" if seconds < 2 * _MINUTE_S else f"{minutes} min"
