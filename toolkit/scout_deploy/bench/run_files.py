"""Where a run ends up: its JSON and its report, in the store and where the user wants them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scout_deploy.bench.run_store import RunStore, write_file
from scout_loadtest.bench_run import BenchRun
from scout_loadtest.report.html import report_html


@dataclass(frozen=True, kw_only=True)
class WrittenRun:
    """What could be written.

    Args:
        problems: What could not, and why.
        is_complete: Whether both files are where the user wants them: in the folder that was named, else in the store.
    """

    report: Path | None
    data: Path | None
    problems: tuple[str, ...]
    is_complete: bool


def write_run(run: BenchRun, store: RunStore, folder: Path | None) -> WrittenRun:
    """Write a run's JSON and report; a disk that refuses one of them costs only that one.

    Args:
        folder: Where the user wants them, besides the store; made where missing.
    """
    problems: list[str] = []
    html = report_html(run)
    kept = store.place(run.subject)
    data = kept_data = _written(kept, lambda: store.keep(run), problems)
    report = kept_report = _written(kept, lambda: _put(kept, f"{run.id}.html", html), problems)
    if folder is not None:
        data = _written(folder, lambda: _put(folder, f"{run.id}.json", run.model_dump_json()), problems)
        report = _written(folder, lambda: _put(folder, f"{run.id}.html", html), problems)
    return WrittenRun(
        report=report or kept_report,
        data=data or kept_data,
        problems=tuple(dict.fromkeys(problems)),
        is_complete=None not in {data, report},
    )


def write_report(run: BenchRun, folder: Path) -> Path:
    """Write a run's report alone.

    Raises:
        OSError: It cannot be written.
    """
    return _put(folder, f"{run.id}.html", report_html(run))


def _put(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    write_file(path, text)
    return path


def _written(folder: Path, write: Callable[[], Path], problems: list[str]) -> Path | None:
    try:
        return write()
    except OSError as exc:
        problems.append(f"{folder}: {exc.strerror}")
        return None
