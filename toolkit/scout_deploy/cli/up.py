"""`scout-deploy up`."""

import contextlib
import os
import re
import signal
import sys
from collections.abc import Iterator
from typing import Annotated

import typer

from scout_deploy.bring_up import Up, bring_up
from scout_deploy.cli.context import DEFAULT_DEPLOYMENT, MAX_TIMEOUT_S, process_runtime
from scout_deploy.cli.invocation import command_name
from scout_deploy.cli.output import Output
from scout_deploy.cli.start_view import StartView
from scout_deploy.deployment import DeploymentSpec
from scout_deploy.errors import ProfileError
from scout_deploy.gguf.facts import read_gguf
from scout_deploy.machine import visible_gpus
from scout_deploy.model_file import locate_model_file, require_embedded_engine
from scout_deploy.plan import Target, ignored_settings, plan_embedded, refuse_foreign_hardware
from scout_deploy.profile.layers import parse_overrides
from scout_deploy.profile.loader import LoadedProfile, load_profile
from scout_deploy.runtimes.process_runtime import ProcessRuntime
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
    as_json: Annotated[bool, typer.Option("--json", help="Print events as JSON, one on each line.")] = False,
) -> None:
    """Start a deployment, and return when its first generation worked."""
    output = Output(as_json=as_json)
    _check_name(name)
    assignments = [*(overrides or ()), *([] if port is None else [f"proxy.port={port}"])]
    loaded = load_profile(profile, environment=os.environ, overrides=parse_overrides(assignments))
    runtime = process_runtime()
    spec = _plan(loaded, runtime, name, timeout)
    output.line(f"scout-deploy {__version__}: deployment '{name}' from profile '{loaded.name}'")
    for remark in ignored_settings(loaded.profile):
        output.line(f"note: {remark}", style="yellow")
        output.event({"event": "note", "detail": remark})
    view = StartView(output)
    with _ended_like_ctrl_c(), view.shown():
        result = bring_up(runtime, spec, view.emit)
    _report(output, result)


@contextlib.contextmanager
def _ended_like_ctrl_c() -> Iterator[None]:
    """Take back what was begun on SIGTERM too: a cancelled job must not leave half a start behind.

    A closed terminal (SIGHUP) is no such wish: a start that takes minutes goes on, and `up` again watches it.
    """
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _check_name(name: str) -> None:
    if re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,62}", name) is None:
        raise ProfileError(
            f"--name: got {name!r}, expected lower-case letters, digits, - and _, at most 63, a letter or digit first"
        )


def _plan(loaded: LoadedProfile, runtime: ProcessRuntime, name: str, timeout_s: float | None) -> DeploymentSpec:
    refuse_foreign_hardware(loaded.profile, loaded.name, visible_gpus())
    require_embedded_engine()
    model_file = locate_model_file(loaded.profile)
    target = Target(
        name=name,
        profile_name=loaded.name,
        python=sys.executable,
        routes=runtime.store(name).routes,
        version=__version__,
        start_timeout_s=timeout_s,
    )
    return plan_embedded(loaded.profile, target, model_file, read_gguf(model_file))


def _report(output: Output, result: Up) -> None:
    spec = result.spec
    payload = f'{{"prompt": "{_EXAMPLE_PROMPT}", "max_length": 64}}'
    curl = f"curl -s {spec.url}/generate -H 'Content-Type: application/json' -d '{payload}'"
    output.event(
        {
            "event": "ready",
            "was_running": result.was_running,
            "deployment": spec.name,
            "profile": spec.profile,
            "url": spec.url,
            "elapsed_s": round(result.elapsed_s, 3),
            "curl": curl,
        }
    )
    if result.was_running:
        output.line(f"Already running, unchanged: {spec.url}")
    else:
        output.line(f"Ready in {result.elapsed_s:.1f} s: {spec.url}", style="bold green")
    output.line()
    output.line(f"  try it     {curl}")
    output.line(f"  API        {spec.url}/docs")
    output.line(f"  see it     {command_name()} status {spec.name}")
    output.line(f"  stop it    {command_name()} down {spec.name}")
