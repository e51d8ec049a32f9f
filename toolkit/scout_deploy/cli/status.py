"""`scout-deploy status`."""

import http.client
import time
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from rich.table import Table

from scout_deploy.api_client import ApiClient
from scout_deploy.cli.container_status import look_at_containers, show_containers
from scout_deploy.cli.context import kept_memory
from scout_deploy.cli.deployments import Deployments, deployments
from scout_deploy.cli.durations import duration
from scout_deploy.cli.locking import lock_of, settings_drift
from scout_deploy.cli.output import Output
from scout_deploy.cli.shared_cache import show_trouble
from scout_deploy.deployment import DeploymentState, ProcessStatus
from scout_deploy.embedded_measuring import EngineMemory, look_at_memory
from scout_deploy.errors import DeploymentNotFoundError, StateError
from scout_deploy.processes import is_alive, resident_bytes
from scout_deploy.runtimes.docker_errors import DaemonRefusedError
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
    every = deployments()
    if every.docker_problem is not None:
        output.line(f"note: {every.docker_problem.message}", style="yellow")
    documents = (
        [_one(output, every, every.choose(name, usage="status NAME"))]
        if name is not None
        else list(_all(output, every))
    )
    if not documents:
        output.line("Nothing is running.")
    output.document({"deployments": documents})


def _all(output: Output, every: Deployments) -> Iterator[dict[str, object]]:
    """Show each; one that cannot be looked at must not hide the others, and one that went meanwhile is no trouble."""
    for name in every.names():
        try:
            yield _one(output, every, name)
        except DeploymentNotFoundError:
            continue
        except (StateError, DaemonRefusedError) as error:
            output.line(f"{name}: unreadable", style="bold red")
            output.line(f"  cause     {error.message}")
            output.line(f"  next      {error.next_step}")
            yield {"name": name, "state": "unreadable", "problem": error.message}


def _one(output: Output, every: Deployments, name: str) -> dict[str, object]:
    containers = every.of_containers(name)
    if containers is None:
        return _processes(output, every.processes, name)
    found = look_at_containers(containers, name)
    show_containers(output, found)
    return found.document()


def _processes(output: Output, runtime: ProcessRuntime, name: str) -> dict[str, object]:
    seen = runtime.observe(name)
    answer = _ask_proxy(runtime, seen)
    memory = look_at_memory(kept_memory(), seen)
    _show(output, seen, answer, memory)
    return _document(runtime, seen, answer, memory)


def _ask_proxy(runtime: ProcessRuntime, seen: Observation) -> dict[str, Any] | None:
    client = ApiClient(seen.spec.url, runtime.store(seen.spec.name).operator_key)
    try:
        answer = client.ask("/status", timeout_s=_PROXY_TIMEOUT_S)
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


def _document(
    runtime: ProcessRuntime, seen: Observation, answer: dict[str, Any] | None, memory: EngineMemory
) -> dict[str, object]:
    return {
        "name": seen.spec.name,
        "profile": seen.spec.profile,
        "url": seen.spec.url,
        "state": state_of(seen),
        "supervised": seen.supervised,
        "status": None if seen.status is None else seen.status.model_dump(mode="json"),
        "drift": list(_drift(seen)),
        "proxy": answer,
        "memory": _memory_document(memory),
        "logs": str(runtime.store(seen.spec.name).log("engine").parent),
    }


def _show(output: Output, seen: Observation, answer: dict[str, Any] | None, memory: EngineMemory) -> None:
    spec, last = seen.spec, seen.status
    styles = {"ready": "bold green", "failed": "bold red", "stopped": "bold red", "unsupervised": "bold yellow"}
    state = state_of(seen)
    output.line(f"{spec.name}: {state}", style=styles.get(state, "bold yellow"))
    output.line(f"  url       {spec.url}")
    output.line(f"  profile   {spec.profile}")
    if answer is not None and (serving := answer.get("serving")):
        facts = [serving.get(key) for key in ("model_id", "quantization", "engine", "engine_version")]
        output.line(f"  serving   {' · '.join(str(fact) for fact in facts if fact)}")
    show_trouble(output, answer)
    if last is not None and last.phases and last.state in {DeploymentState.STARTING, DeploymentState.RECOVERING}:
        phase = last.phases[-1]
        output.line(f"  phase     {phase.name}" + (f"  {phase.detail}" if phase.detail else ""))
    if last is not None and last.state is DeploymentState.FAILED and last.failure is not None:
        output.line(f"  cause     {last.failure.cause}", style="red")
        for line in last.failure.evidence:
            output.line(f"            {line}", style="dim")
        if last.failure.next_step:
            output.line(f"  next      {last.failure.next_step}")
    for number, line in enumerate(_drift(seen)):
        output.line(f"  {'' if number else 'drift':<9} {line}", style="yellow")
    if state in {"unsupervised", "stopped"}:
        output.line(f"  next      scout-deploy up, which starts it again, or scout-deploy down {spec.name}")
    if last is not None and not output.as_json:
        output.console.print(_process_table(last.processes))
        _show_memory(output, memory)


def _show_memory(output: Output, memory: EngineMemory) -> None:
    if memory.resident is not None and memory.predicted is not None and memory.most is not None:
        learnt = f" ({memory.correction / _MEBIBYTE:+.0f} MiB of it learnt here)" if memory.correction else ""
        output.line(
            f"  memory    engine: {memory.resident / _MEBIBYTE:.0f} MiB resident, "
            f"{memory.predicted / _MEBIBYTE:.0f} MiB predicted{learnt}, "
            f"up to {memory.most / _MEBIBYTE:.0f} MiB once long prompts come"
        )


def _memory_document(memory: EngineMemory) -> dict[str, int | None]:
    return {
        "engine_resident_bytes": memory.resident,
        "engine_predicted_bytes": memory.predicted,
        "engine_most_bytes": memory.most,
        "engine_correction_bytes": memory.correction,
    }


def _drift(seen: Observation) -> tuple[str, ...]:
    """Say how what runs differs from its profile's lock, where there is one."""
    return settings_drift(lock_of(seen.spec.profile), seen.spec.settings)


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
            "-" if identity is None else duration(time.time() - identity.created_s),
            "-" if memory is None else f"{memory / _MEBIBYTE:.0f} MiB",
            str(process.restarts),
            "-" if process.last_exit is None else f"status {process.last_exit.code}",
        )
    return table
