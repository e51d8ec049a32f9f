"""What a terminal shows of a benchmark, however narrow it is."""

import io

import pytest
from rich.console import Console

from fakes.bench_results import bench_run, load, record, step_result
from scout_deploy.bench.benchmark import Measured
from scout_deploy.cli.bench_view import show_summary
from scout_deploy.cli.output import Output
from scout_loadtest.bench_run import Step
from scout_loadtest.figures_of import figures_of


def shown(width: int) -> list[str]:
    """Show a run on a terminal of so many columns."""
    records = [record(index, due_s=0.1 * index) for index in range(60)]
    asked = load(rate=12.5)
    result = step_result(records, of=asked)
    whole = result.model_copy(update={"figures": figures_of(records, load=asked, targets=result.targets)})
    steps = (Step(purpose="search", starts_s=0, result=whole, holds=False, because="it is an example " * 6),)
    written = io.StringIO()
    output = Output()
    output.console = Console(
        file=written, force_terminal=True, width=width, color_system=None, soft_wrap=True, markup=False
    )
    show_summary(output, bench_run("one", steps=steps), Measured(steps=steps, took_s=1.0))
    return written.getvalue().splitlines()


@pytest.mark.parametrize(("width", "has_medians"), [(120, True), (92, True), (80, False)])
def test_the_table_fits_the_terminal(width: int, has_medians: bool) -> None:
    lines = shown(width)
    head = " ".join(lines[1:3])

    assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines)
    assert head.split()[-2:] == ["goodput", "errors"]
    assert ("p50 ms" in head) is has_medians
    assert lines[3].split()[:2] == ["12.5/s", "Poisson"]
    assert lines[3].split()[-1] == "missed"


def test_a_sentence_is_broken_between_its_words() -> None:
    *_, before, last = [line for line in shown(80) if line]

    assert before.endswith(("example ", "an ", "is ", "it "))
    assert last.split()[0] in {"example", "an", "is", "it"}
