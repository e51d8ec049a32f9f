"""`scout-deploy up`."""

import os
import sys
import time
from dataclasses import replace
from typing import Annotated

import typer

from scout_deploy.bring_up import bring_up
from scout_deploy.cli.context import DEFAULT_DEPLOYMENT, MAX_TIMEOUT_S, kept_memory, process_runtime
from scout_deploy.cli.deployments import deployments
from scout_deploy.cli.embedded_view import check_embedded_memory, plan_embedded_memory
from scout_deploy.cli.gate_checks import check_gate
from scout_deploy.cli.invocation import command_name
from scout_deploy.cli.locking import pins_of
from scout_deploy.cli.output import Output
from scout_deploy.cli.plan_view import ShownFit, show_plan
from scout_deploy.cli.planned_gate import PlannedGate
from scout_deploy.cli.start_view import StartView
from scout_deploy.cli.termination import ended_like_ctrl_c
from scout_deploy.cli.wish import read_wish
from scout_deploy.container_draft import Wish
from scout_deploy.deployment import DeploymentSpec, Up
from scout_deploy.embedded_measuring import keep_memory
from scout_deploy.errors import DeployError, DeploymentChangedError, GpuUnavailableError
from scout_deploy.gguf.facts import read_gguf
from scout_deploy.model_file import locate_model_file, require_embedded_engine
from scout_deploy.plan import Target, plan_embedded
from scout_deploy.profile.loader import LoadedProfile
from scout_deploy.profile.profile import Profile
from scout_deploy.progress import Tell
from scout_deploy.proxy_remarks import proxy_remarks
from scout_deploy.proxy_secrets import KeptSecrets, ProxySecrets, make_secrets
from scout_deploy.redis_client import require_redis_client
from scout_deploy.runtimes.engine_gate import EngineGate
from scout_deploy.runtimes.process_runtime import ProcessRuntime
from scout_deploy.span_exporter import require_span_exporter
from scout_proxy.version import __version__

DEFAULT_PROFILE = "embedded"
# Not in the demonstration model's training text, and ASCII, so that it can be typed on any keyboard.
_EXAMPLE_PROMPT = "Tell me about the sea."


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("up")(up)


def up(
    *,
    profile: Annotated[str, typer.Option(help="Name of a profile, or path of its file.")] = DEFAULT_PROFILE,
    name: Annotated[str, typer.Option(help="Name of the deployment.")] = DEFAULT_DEPLOYMENT,
    port: Annotated[int | None, typer.Option(help="Port of the API, instead of the profile's.")] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Set a key of the profile, as in proxy.port=2026. Repeatable."),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(
            min=0.1, max=MAX_TIMEOUT_S, help="Seconds until the engine has to be ready, instead of the profile's."
        ),
    ] = None,
    may_replace: Annotated[
        bool,
        typer.Option("--replace", help="Exchange a running deployment whose settings differ, losing no request."),
    ] = False,
    has_gate: Annotated[
        bool,
        typer.Option(
            "--gate",
            help="With --replace: measure the new engines before they get requests, and go back to the old ones where "
            "they miss the profile's service level.",
        ),
    ] = False,
    gate_duration: Annotated[
        float | None,
        typer.Option(min=3.0, max=600.0, metavar="S", help="Seconds that --gate measures for, instead of 10."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Start even what the plan says cannot work.")] = False,
    locked: Annotated[
        bool, typer.Option("--locked", help="Run exactly what the profile's lock says, or say what differs.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Show what would run and whether it fits, and start nothing; needs neither GPU nor Docker.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print events as JSON, one on each line.")] = False,
) -> None:
    """Start a deployment, and return when its first generation worked."""
    output = Output(as_json=as_json)
    assignments = [*(overrides or ()), *([] if port is None else [f"proxy.port={port}"])]
    loaded, wish = read_wish(profile, name, assignments, start_timeout_s=timeout)
    wish = replace(wish, insists=force)
    if locked:
        wish = replace(wish, pins=pins_of(loaded, wish))
    in_containers = loaded.profile.engine.kind != "embedded"
    if has_gate or gate_duration is not None:
        check_gate(loaded.profile, is_asked=has_gate, in_containers=in_containers, may_replace=may_replace)
    if dry_run:
        secrets = make_secrets(loaded.profile, os.environ, KeptSecrets())
        if in_containers:
            planned = _planned_gate(loaded.profile, gate_duration) if has_gate else None
            _dry_run_containers(output, replace(wish, secrets=secrets), planned)
        else:
            plan = _plan(loaded, wish, process_runtime(), secrets)
            memory = plan_embedded_memory(loaded, None, kept_memory().starts())
            fit = ShownFit(lines=(f"{memory.head}: {memory.need}",), document=memory.document)
            show_plan(output, plan, proxy_remarks(loaded.profile), fit=fit)
            if not (memory.works or force):
                raise typer.Exit(GpuUnavailableError.exit_code)
        return
    gate = _gate(output, loaded.profile, gate_duration) if has_gate else None
    output.line(f"scout-deploy {__version__}: deployment '{name}' from profile '{loaded.name}'")
    with ended_like_ctrl_c():
        result = (
            _up_containers(output, wish, may_replace=may_replace, gate=gate)
            if in_containers
            else _up_processes(output, loaded, wish, may_replace=may_replace)
        )
    _report(output, result, has_keys=loaded.profile.proxy.keys.are_set)


def _planned_gate(profile: Profile, duration_s: float | None) -> PlannedGate:
    from scout_deploy.cli.gate import planned_gate

    return planned_gate(profile, duration_s)


def _gate(output: Output, profile: Profile, duration_s: float | None) -> EngineGate:
    from scout_deploy.cli.gate import make_gate

    return make_gate(output, profile, duration_s)


def _up_processes(output: Output, loaded: LoadedProfile, wish: Wish, *, may_replace: bool) -> Up:
    name = wish.name
    for remark in proxy_remarks(loaded.profile):
        output.line(f"note: {remark}", style="yellow")
        output.event({"event": "note", "detail": remark})
    every = deployments()
    if every.of_containers(name) is not None and name in every.names():
        raise DeploymentChangedError(
            f"deployment '{name}' runs already, in containers",
            next_step=f"scout-deploy down {name}, or choose another name: scout-deploy up --name OTHER",
        )
    runtime = every.processes
    secrets = make_secrets(loaded.profile, os.environ, runtime.store(name).kept_secrets())
    require_redis_client(secrets)
    require_span_exporter(loaded.profile)
    spec = _plan(loaded, wish, runtime, secrets)
    view = StartView(output)

    def check(tell: Tell) -> None:
        try:
            memory = plan_embedded_memory(loaded, None, kept_memory().starts())
        except DeployError as exc:
            # A file that does not say how large it is may be served all the same.
            tell("note", f"whether the model fits is not known: {exc.message}")
            return
        check_embedded_memory(loaded, memory, tell, insists=wish.insists)

    with view.shown():
        result = bring_up(runtime, spec, view.emit, secret_files=secrets.files, may_replace=may_replace, check=check)
    if not result.was_running:
        keep_memory(kept_memory(), runtime.observe(name), __version__, time.time())
    return result


def _dry_run_containers(output: Output, wish: Wish, gate: PlannedGate | None) -> None:
    from scout_deploy.cli.dry_run import dry_run_containers

    dry_run_containers(output, wish, gate)


def _up_containers(output: Output, wish: Wish, *, may_replace: bool, gate: EngineGate | None) -> Up:
    from scout_deploy.cli.up_containers import up_containers

    if wish.name in process_runtime().names():
        raise DeploymentChangedError(
            f"deployment '{wish.name}' runs already, as processes of this machine",
            next_step=f"scout-deploy down {wish.name}, or choose another name: scout-deploy up --name OTHER",
        )
    return up_containers(output, wish, may_replace=may_replace, gate=gate)


def _plan(loaded: LoadedProfile, wish: Wish, runtime: ProcessRuntime, secrets: ProxySecrets) -> DeploymentSpec:
    require_embedded_engine()
    model_file = locate_model_file(loaded.profile)
    target = Target(
        name=wish.name,
        profile_name=loaded.name,
        python=sys.executable,
        routes=runtime.store(wish.name).routes,
        version=__version__,
        start_timeout_s=wish.start_timeout_s,
        secrets=secrets,
    )
    return plan_embedded(loaded.profile, target, model_file, read_gguf(model_file))


def _report(output: Output, result: Up, *, has_keys: bool) -> None:
    payload = f'{{"prompt": "{_EXAMPLE_PROMPT}", "max_length": 64}}'
    key = ' -H "Authorization: Bearer $SCOUT_API_KEY"' if has_keys else ""
    curl = f"curl -s {result.url}/generate{key} -H 'Content-Type: application/json' -d '{payload}'"
    output.event(
        {
            "event": "ready",
            "was_running": result.was_running,
            "deployment": result.name,
            "profile": result.profile,
            "url": result.url,
            "elapsed_s": round(result.elapsed_s, 3),
            "curl": curl,
        }
    )
    if result.was_running:
        output.line(f"Already running, unchanged: {result.url}")
    else:
        output.line(f"Ready in {result.elapsed_s:.1f} s: {result.url}", style="bold green")
    output.line()
    output.line(f"  try it     {curl}")
    output.line(f"  API        {result.url}/docs")
    output.line(f"  see it     {command_name()} status {result.name}")
    output.line(f"  stop it    {command_name()} down {result.name}")
