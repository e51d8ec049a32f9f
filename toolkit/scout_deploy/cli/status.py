"""`scout-deploy status`."""

import http.client
import time
from typing import Annotated, Any

import typer
from rich.table import Table

from scout_deploy.api_client import call_api
from scout_deploy.cli.context import choose_deployment, process_runtime
from scout_deploy.cli.output import Output
from scout_deploy.deployment import DeploymentState, ProcessStatus
from scout_deploy.errors import StateError
from scout_deploy.processes import is_alive, resident_bytes
from scout_deploy.runtimes.process_runtime import Observation, ProcessRuntime

_PROXY_TIMEOUT_S = 2.0
_MEBIBYTE = 2**20


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("status")(status)


def status(
    name: Annotated[str | None, typer.Argument(help="The deployment; without it all of them.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Show what runs, since when, and what went wrong."""
    output = Output(as_json=as_json)
    runtime = process_runtime()
    names = runtime.names() if name is None else (choose_deployment(runtime, name),)
    if not names:
        output.line("Nothing is running.")
    documents: list[dict[str, object]] = []
    for one in names:
        try:
            seen = runtime.observe(one)
        except StateError as error:
            if name is not None:
                raise
            # It must not hide the others.
            documents.append({"name": one, "state": "unreadable", "problem": error.message})
            output.line(f"{one}: unreadable", style="bold red")
            output.line(f"  cause     {error.message}")
            output.line(f"  next      {error.next_step}")
            continue
        answer = _ask_proxy(seen)
        documents.append(_document(runtime, seen, answer))
        _show(output, seen, answer)
    output.document({"deployments": documents})


def _ask_proxy(seen: Observation) -> dict[str, Any] | None:
    try:
        answer = call_api(seen.spec.url, "/status", timeout_s=_PROXY_TIMEOUT_S)
    except (OSError, http.client.HTTPException):
        return None
    return answer.body if answer.status == http.client.OK and isinstance(answer.body, dict) else None


def state_of(seen: Observation) -> str:
    """Return the state in one word, the supervisor's absence included."""
    if seen.status is None:
        return "starting" if seen.processes else "stopped"
    if seen.supervised:
        return seen.status.state.value
    return "unsupervised" if seen.processes else "stopped"


def _document(runtime: ProcessRuntime, seen: Observation, answer: dict[str, Any] | None) -> dict[str, object]:
    return {
        "name": seen.spec.name,
        "profile": seen.spec.profile,
        "url": seen.spec.url,
        "state": state_of(seen),
        "supervised": seen.supervised,
        "status": None if seen.status is None else seen.status.model_dump(mode="json"),
        "proxy": answer,
        "logs": str(runtime.store(seen.spec.name).log("engine").parent),
    }


def _show(output: Output, seen: Observation, answer: dict[str, Any] | None) -> None:
    spec, last = seen.spec, seen.status
    styles = {"ready": "bold green", "failed": "bold red", "stopped": "bold red", "unsupervised": "bold yellow"}
    state = state_of(seen)
    output.line(f"{spec.name}: {state}", style=styles.get(state, "bold yellow"))
    output.line(f"  url       {spec.url}")
    output.line(f"  profile   {spec.profile}")
    if answer is not None and (serving := answer.get("serving")):
        facts = [serving.get(key) for key in ("model_id", "quantization", "engine", "engine_version")]
        output.line(f"  serving   {' · '.join(str(fact) for fact in facts if fact)}")
    if last is not None and last.phases and last.state in {DeploymentState.STARTING, DeploymentState.RECOVERING}:
        phase = last.phases[-1]
        output.line(f"  phase     {phase.name}" + (f"  {phase.detail}" if phase.detail else ""))
    if last is not None and last.state is DeploymentState.FAILED and last.failure is not None:
        output.line(f"  cause     {last.failure.cause}", style="red")
        for line in last.failure.evidence:
            output.line(f"            {line}", style="dim")
        if last.failure.next_step:
            output.line(f"  next      {last.failure.next_step}")
    if state in {"unsupervised", "stopped"}:
        output.line(f"  next      scout-deploy up, which starts it again, or scout-deploy down {spec.name}")
    if last is not None and not output.as_json:
        output.console.print(_process_table(last.processes))


def _process_table(processes: tuple[ProcessStatus, ...]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    table.add_column("  role")
    for heading in ("pid", "up for", "memory", "restarts"):
        table.add_column(heading, justify="right")
    table.add_column("last end")
    for process in processes:
        identity = process.identity if process.identity is not None and is_alive(process.identity) else None
        memory = None if identity is None else resident_bytes(identity)
        table.add_row(
            f"  {process.role}",
            "-" if identity is None else str(identity.pid),
            "-" if identity is None else _duration(time.time() - identity.created_s),
            "-" if memory is None else f"{memory / _MEBIBYTE:.0f} MiB",
            str(process.restarts),
            "-" if process.last_exit is None else f"status {process.last_exit.code}",
        )
    return table


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
