"""What `up` shows while it waits: one line for each phase, the running one with its clock on a terminal."""

import contextlib
import time
from collections.abc import Iterator

from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from scout_deploy.bring_up import Progress
from scout_deploy.cli.output import Output

_REFRESH_PER_SECOND = 12


class StartView:
    """Shows `Progress` as it comes; use `shown()` around the work."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._began = time.monotonic()
        self._current: Progress | None = None
        self._spinner = Spinner("dots", style="cyan")

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Redraw the running phase on a terminal; elsewhere nothing has to be redrawn."""
        if not self._output.is_live:
            yield
            return
        live = Live(
            console=self._output.console,
            get_renderable=self._running,
            refresh_per_second=_REFRESH_PER_SECOND,
            transient=True,
        )
        with live:
            yield
            self._finish_current()
            self._current = None

    def emit(self, progress: Progress) -> None:
        """Show the beginning of a phase, which is the end of the one before."""
        self._output.event(
            {
                "event": "note" if progress.phase == "note" else "phase",
                "phase": progress.phase,
                "detail": progress.detail,
                "elapsed_s": round(progress.elapsed_s, 3),
            }
        )
        if progress.phase == "note":
            self._output.line(f"note: {progress.detail}", style="yellow")
        elif self._output.is_live:
            self._finish_current()
            self._current = progress
        else:
            detail = f"  {progress.detail}" if progress.detail else ""
            self._output.line(f"{progress.elapsed_s:6.1f} s  {progress.phase}{detail}")

    def _finish_current(self) -> None:
        if self._current is not None:
            took_s = time.monotonic() - self._began - self._current.elapsed_s
            mark = Text("✓", style="green")
            self._output.console.print(_row(mark, self._current, took_s))

    def _running(self) -> Table | Text:
        if self._current is None:
            return Text("")
        return _row(self._spinner, self._current, time.monotonic() - self._began - self._current.elapsed_s)


def _row(mark: Spinner | Text, progress: Progress, took_s: float) -> Table:
    row = Table.grid(padding=(0, 1))
    row.add_column(width=2, justify="right")
    row.add_column(width=18)
    row.add_column(width=8, justify="right")
    row.add_column(style="dim", overflow="ellipsis", no_wrap=True)
    row.add_row(mark, progress.phase, f"{max(0.0, took_s):.1f} s", progress.detail or "")
    return row
