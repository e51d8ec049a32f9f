"""Measure the proxy's goals beside its rivals, in one run, and print the table and what falls short.

Servers have one core, the load generator (wrk, or our own for what wrk cannot do), the fake engine and this process
another. Servers are measured in turn (A B A B ...); values are medians. A window in which the generator's core was
busy while the server's was not is void. The exit code is 0 whatever the values are, and 1 where something broke.
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

from proxy_bench.bench import FULL, QUICK, Bench
from proxy_bench.child import BenchError
from proxy_bench.cores import TooFewCoresError, choose_cores
from proxy_bench.engine import running_engine
from proxy_bench.machine import describe_machine
from proxy_bench.open_files import raise_limit
from proxy_bench.report import as_json, markdown, page
from proxy_bench.rows import ROWS
from proxy_bench.verdict import Section, unmeasured


def main() -> int:
    """Measure, print, and return the exit code."""
    given = _parse()
    try:
        cores = choose_cores()
    except TooFewCoresError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 1
    missing = [program for program in ("wrk", "nginx") if shutil.which(program) is None]
    if missing:
        print(f"error: {' and '.join(missing)} missing\nnext: infra/install-bench.sh", file=sys.stderr)
        return 1
    raise_limit()
    litellm = _litellm()
    machine = describe_machine(cores, litellm)
    os.sched_setaffinity(0, {cores.load})
    effort, began = QUICK if given.quick else FULL, monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="proxy-bench-") as folder,
        running_engine(cores.load, Path(folder)) as engine,
    ):
        bench = Bench(cores=cores, engine=engine, folder=Path(folder), effort=effort, litellm=litellm)
        sections, is_broken = _measure(bench, given.only or list(ROWS))
    machine = {**machine, "measured": f"{monotonic() - began:.0f} s, {effort.windows} windows of {effort.seconds} s"}
    print(f"\n{markdown(sections, machine)}")
    if given.json:
        given.json.write_text(as_json(sections, machine), encoding="utf-8")
    if given.results:
        given.results.write_text(page(sections, machine), encoding="utf-8")
    return 1 if is_broken else 0


def _measure(bench: Bench, keys: Sequence[str]) -> tuple[list[Section], bool]:
    """Measure each row; one that breaks does not end the others, and Ctrl-C leaves those that are measured."""
    sections, is_broken, began = [], False, monotonic()
    for key in keys:
        bench.say(f"{monotonic() - began:4.0f} s  {key}: {(ROWS[key].__doc__ or '').splitlines()[0]}")
        try:
            sections.append(ROWS[key](bench))
        except BenchError as exc:
            is_broken = True
            print(f"error: {key}: {exc}", file=sys.stderr)
            sections.append(_broken(key, exc))
        except KeyboardInterrupt:
            print(f"interrupted in row {key}; the report is of those before it", file=sys.stderr)
            return sections, True
    return sections, is_broken


def _broken(key: str, error: BenchError) -> Section:
    reason = f"broke: {str(error).splitlines()[0]}"
    return Section(key=key, title=key, verdicts=(unmeasured(key, "-", reason),))


def _litellm() -> Path | None:
    """Find the program that `infra/install-bench.sh` installs, by the variable in which it is named."""
    named = os.environ.get("LITELLM")
    return Path(named) if named and Path(named).exists() else None


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m proxy_bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="short windows: a look, not a result")
    parser.add_argument("--only", action="append", choices=list(ROWS), help="measure this row alone; can be repeated")
    parser.add_argument("--json", type=Path, help="write every window into this file")
    parser.add_argument("--results", type=Path, help="write the report into this file, with how to read it")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
