"""Where a run ends up: its JSON and its report, in the store and where the user wants them."""

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
    """

    report: Path | None
    data: Path | None
    problems: tuple[str, ...]


def write_run(run: BenchRun, store: RunStore, folder: Path | None) -> WrittenRun:
    """Write a run's JSON and report; a disk that refuses one of them costs only that one.

    Args:
        folder: Where the user wants them, besides the store; made where missing.
    """
    problems: list[str] = []
    html = report_html(run)
    kept_data, kept_report = _written(store.place(run.subject), run, html, problems, store)
    if folder is None:
        return WrittenRun(report=kept_report, data=kept_data, problems=tuple(problems))
    data, report = _written(folder, run, html, problems)
    return WrittenRun(report=report or kept_report, data=data or kept_data, problems=tuple(problems))


def write_report(run: BenchRun, folder: Path) -> Path:
    """Write a run's report alone.

    Raises:
        OSError: It cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{run.id}.html"
    write_file(path, report_html(run))
    return path


def _written(
    folder: Path, run: BenchRun, html: str, problems: list[str], store: RunStore | None = None
) -> tuple[Path | None, Path | None]:
    data = report = None
    try:
        if store is not None:
            data = store.keep(run)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            data = folder / f"{run.id}.json"
            write_file(data, run.model_dump_json())
        report = folder / f"{run.id}.html"
        write_file(report, html)
    except OSError as exc:
        problems.append(f"{exc.filename or folder}: {exc.strerror}")
        # What was being written is not there.
        data, report = (data, None) if report is not None else (None, None)
    return data, report
