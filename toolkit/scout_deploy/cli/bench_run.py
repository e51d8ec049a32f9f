"""`scout-deploy bench run`."""

import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from scout_deploy.bench.benchmark import Benchmark, Measured
from scout_deploy.bench.load_child import KEY_VARIABLE, LoadChild, require_locust
from scout_deploy.bench.machine import this_machine
from scout_deploy.bench.min_rate import check_min_rate, require_rate
from scout_deploy.bench.plan import BenchPlan, quick_plan
from scout_deploy.bench.readiness import check_ready, serving_facts
from scout_deploy.bench.run_files import WrittenRun, write_run
from scout_deploy.bench.run_store import RunStore
from scout_deploy.bench.service_level import declared_level, targets_of
from scout_deploy.bench.timeline import Timeline
from scout_deploy.cli.api_target import ApiTarget, target_at, target_of
from scout_deploy.cli.bench_options import mix_of, users_of
from scout_deploy.cli.bench_view import level_words, show_files, show_summary, step_event, summary_event
from scout_deploy.cli.deployments import deployments
from scout_deploy.cli.output import Output
from scout_deploy.cli.start_view import StartView
from scout_deploy.cli.termination import ended_like_ctrl_c
from scout_deploy.errors import DeployError, ProfileError, RequestFailedError, StateError
from scout_deploy.profile.profile import ServiceLevel
from scout_deploy.progress import Teller
from scout_deploy.xdg import user_directories
from scout_loadtest.bench_run import BenchRun, Step, Subject
from scout_proxy.version import __version__

# As people use it: some at a chat page, some with documents, a few programs, a part of it from the cache.
_DEFAULT_MIX = {"mixed": 1.0}
_MOST_MS = 3_600_000.0
_MOST_S = 86_400.0


def run(
    name: Annotated[str | None, typer.Argument(help="The deployment to measure, where there are several.")] = None,
    *,
    url: Annotated[
        str | None,
        typer.Option(
            help="Measure the API at this address instead of a deployment. Its key, where it needs one, is read from "
            f"the environment variable {KEY_VARIABLE}."
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="End within two minutes, with coarser figures.")] = False,
    profile_slo: Annotated[
        bool,
        typer.Option("--profile-slo", help="Insist on the profile's service level, which is the default where set."),
    ] = False,
    ttft_p99: Annotated[
        float | None,
        typer.Option(min=0.1, max=_MOST_MS, metavar="MS", help="Service level: 99 of 100 first tokens come within."),
    ] = None,
    tpot_p99: Annotated[
        float | None,
        typer.Option(min=0.01, max=_MOST_MS, metavar="MS", help="Service level: time for each further token, p99."),
    ] = None,
    e2e_p99: Annotated[
        float | None,
        typer.Option(min=0.1, max=_MOST_MS, metavar="MS", help="Service level: time to the whole answer, p99."),
    ] = None,
    goodput: Annotated[
        float | None,
        typer.Option(min=0.01, max=1.0, help="Service level: share of the requests that keep all targets at once."),
    ] = None,
    min_rate: Annotated[
        float | None,
        typer.Option(min=0.01, help="Requests a second that must hold the service level; else the exit status is 19."),
    ] = None,
    search: Annotated[
        bool,
        typer.Option(
            "--search/--no-search",
            help="Look for the highest rate that holds the service level; without it --min-rate alone is tried.",
        ),
    ] = True,
    users: Annotated[
        str | None, typer.Option(metavar="LIST", help="Concurrent users of the steps, as in 1,2,4,8.")
    ] = None,
    mix: Annotated[
        str | None,
        typer.Option(metavar="KINDS", help="Kinds of requests with weights, as in unique=3,repeated=1."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="FILE", help="JSON lines with prompts or lengths of your own.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed sends the same requests.")] = 0,
    duration: Annotated[
        float | None, typer.Option(min=1.0, max=_MOST_S, metavar="S", help="Seconds that each load is measured for.")
    ] = None,
    output_folder: Annotated[
        Path | None, typer.Option("--output", metavar="DIR", help="Write the report and its data there too.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print events as JSON, one on each line.")] = False,
) -> None:
    """Measure a curve of throughput and latency, then the highest rate that holds the service level."""
    output = Output(as_json=as_json)
    require_locust()
    given = ServiceLevel(ttft_p99_ms=ttft_p99, tpot_p99_ms=tpot_p99, e2e_p99_ms=e2e_p99, goodput=goodput)
    plan = _plan(quick=quick, users=users, mix=mix, data=data, seed=seed, duration=duration, min_rate=min_rate)
    plan = replace(plan, search=search)
    check_min_rate(plan)
    target = _target(name, url)
    level = _level(given, target, insist=profile_slo or min_rate is not None)
    store = RunStore(user_directories(os.environ).benchmarks)
    _check_place(output_folder, store)
    check_ready(target.client(), deployment=target.deployment, key_variable=KEY_VARIABLE)
    what = f"deployment '{target.deployment}'" if target.deployment is not None else target.url
    whose = "options'" if given.is_set else "deployment's"
    held = f", the {whose} service level: {level_words(level)}" if level.is_set else ""
    output.line(f"scout-deploy {__version__}: measuring {what}{held}")
    with ended_like_ctrl_c():
        bench_run, measured = _measure(output, target, plan, level, store)
    # First, so that whatever the disk does, the figures are seen.
    show_summary(output, bench_run, measured)
    if not level.is_set:
        output.line("No service level is set, so no rate was searched: service_level in the profile, or --ttft-p99 MS")
    written = write_run(bench_run, store, output_folder)
    show_files(output, bench_run, written)
    output.event(summary_event(bench_run, measured, level, min_rate=min_rate, written=written))
    _end(output, bench_run, measured, written, min_rate)


def _plan(
    *,
    quick: bool,
    users: str | None,
    mix: str | None,
    data: Path | None,
    seed: int,
    duration: float | None,
    min_rate: float | None,
) -> BenchPlan:
    chosen = _DEFAULT_MIX if mix is None else mix_of(mix)
    path = None if data is None else data.expanduser().absolute()
    if path is not None and not path.is_file():
        raise ProfileError(f"--data: {data} is not a file", next_step="give a file of JSON lines")
    plan = quick_plan(mix=chosen, data=path, seed=seed) if quick else BenchPlan(mix=chosen, data=path, seed=seed)
    if users is not None:
        plan = replace(plan, users=users_of(users))
    if duration is not None:
        plan = replace(plan, duration_s=duration, max_try_s=max(duration, plan.max_try_s))
    return replace(plan, start_rate=min_rate)


def _check_place(folder: Path | None, store: RunStore) -> None:
    """Make the folder where the report is wanted and try it, before minutes are spent on what is to lie there."""
    place = store.folder if folder is None else folder
    try:
        place.mkdir(parents=True, exist_ok=True, mode=0o700 if folder is None else 0o777)
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as exc:
        if folder is None:
            raise StateError(
                f"the report cannot be kept: nothing can be written to {place}: {exc.strerror}",
                next_step="choose another place with --output DIR",
            ) from exc
        raise ProfileError(
            f"--output: nothing can be written to {place}: {exc.strerror}",
            next_step="choose another folder; without --output the report is kept with the other state",
        ) from exc


def _target(name: str | None, url: str | None) -> ApiTarget:
    if url is not None and name is not None:
        raise ProfileError(f"got the deployment {name!r} and --url {url}, expected one of the two")
    if url is not None:
        return target_at(url)
    every = deployments()
    return target_of(every, every.choose(name, usage="bench NAME, or scout-deploy bench --url URL"))


def _level(given: ServiceLevel, target: ApiTarget, *, insist: bool) -> ServiceLevel:
    declared = declared_level(target.settings)
    asked = {name: value for name, value in given.model_dump().items() if value is not None}
    # What is asked for here replaces the profile's targets: half of each would be neither's.
    level = given if given.is_set else declared.model_copy(update=asked)
    if insist and not level.is_set:
        raise ProfileError(
            "there is no service level to hold: "
            + ("the profile has none" if target.deployment is not None else f"{target.url} is no deployment here"),
            next_step="service_level/ttft_p99_ms and the like in the profile, or --ttft-p99 MS",
        )
    return level


def _measure(
    output: Output, target: ApiTarget, plan: BenchPlan, level: ServiceLevel, store: RunStore
) -> tuple[BenchRun, Measured]:
    client = target.client()
    model, engine = serving_facts(client)
    view = StartView(output)

    def show(step: Step) -> None:
        output.event(step_event(step))

    benchmark = Benchmark(
        plan=plan,
        level=level,
        offer=LoadChild(url=target.url, key=target.read_key()).offer,
        tell=Teller(view.emit),
        show=show,
    )
    began_at = time.time()
    with Timeline(client) as timeline, view.shown():
        measured = benchmark.run()
        if measured.ended_early is not None:
            view.give_up()
    return (
        BenchRun(
            id=store.new_id(target.deployment, began_at),
            began_at=began_at,
            took_s=measured.took_s,
            version=__version__,
            machine=this_machine(),
            subject=Subject(
                url=target.url,
                deployment=target.deployment,
                profile=target.profile,
                model=model,
                engine=engine,
                image_digest=target.image_digest,
            ),
            targets=targets_of(level),
            goodput_target=level.goodput,
            seed=plan.seed,
            steps=measured.steps,
            timeline=timeline.samples,
            highest_rate=measured.highest_rate,
            lowest_failed_rate=measured.lowest_failed_rate,
            least_rate=plan.least_rate if plan.search else None,
            interrupted=measured.ended_early,
        ),
        measured,
    )


def _end(output: Output, run: BenchRun, measured: Measured, written: WrittenRun, min_rate: float | None) -> None:
    """Say by an error what the exit status has to say, and what could not be written where that is something else."""
    try:
        _check_outcome(run, measured, written.report, min_rate)
    except (KeyboardInterrupt, DeployError):
        _tell_problems(output, written)
        raise
    if not written.is_complete:
        raise DeployError(
            "the report cannot be written; the figures above are what was measured",
            next_step="free the disk or choose another place with --output, then measure again",
            evidence=written.problems,
        )
    _tell_problems(output, written)


def _check_outcome(run: BenchRun, measured: Measured, report: Path | None, min_rate: float | None) -> None:
    if measured.by_user:
        raise KeyboardInterrupt
    if measured.failure is not None:
        raise measured.failure
    if measured.ended_early is not None:
        raise RequestFailedError(
            measured.ended_early, next_step="scout-deploy status, then scout-deploy diagnose; the report shows when"
        )
    if min_rate is not None:
        require_rate(run, min_rate, report)


def _tell_problems(output: Output, written: WrittenRun) -> None:
    for problem in written.problems:
        output.line(f"not written: {problem}", style="yellow")
