"""`scout-deploy diagnose`: why the engines of a deployment died, also long after."""

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer

from scout_deploy.cli.deployments import Deployments, deployments
from scout_deploy.cli.durations import duration
from scout_deploy.cli.output import Output
from scout_deploy.containers import labels
from scout_deploy.containers.observation import ContainerObservation
from scout_deploy.deployment import DeploymentState
from scout_deploy.diagnosis.death import Death
from scout_deploy.diagnosis.diagnose import all_signatures
from scout_deploy.diagnosis.diagnose import diagnose as name_cause
from scout_deploy.diagnosis.diagnosis import Diagnosis, EngineSettings
from scout_deploy.diagnosis.from_settings import engine_settings
from scout_deploy.engines.catalogue import adapter_for, container_engine_for
from scout_deploy.engines.container_engine import ContainerEngine
from scout_deploy.errors import DeploymentNotFoundError, DockerUnavailableError
from scout_deploy.evidence import newest_evidence
from scout_deploy.runtimes.container_failure import UpCommand, next_step
from scout_deploy.runtimes.container_runtime import ContainerRuntime
from scout_deploy.runtimes.postmortem import Found, death_of_evidence, find_death, present_evidence
from scout_deploy.xdg import user_directories

_DEFAULT_ENGINE = "tgi"
# What `down`, an update and a failed start end an engine with.
_ORDERLY = (0, 143)
_SHOWN_LINES = 8


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("diagnose")(diagnose)


def diagnose(
    name: Annotated[
        str | None,
        typer.Argument(help="The deployment, also one that is gone; without it the default one, or the only one."),
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the diagnoses as JSON.")] = False,
) -> None:
    """Say why an engine died: the cause, the lines that show it, and what would help."""
    output = Output(as_json=as_json)
    every = deployments()
    chosen = _choose(every, name)
    documents = []
    runtime = every.of_containers(chosen)
    seen = None if runtime is None else runtime.look(chosen)
    serves = seen is not None and seen.state in {DeploymentState.READY, DeploymentState.RECOVERING}
    for found, diagnosis in _diagnoses(runtime, seen, chosen):
        documents.append(
            {**asdict(diagnosis), "container": found.container, "source": found.source, "at_s": found.at_s}
        )
        _show(output, chosen, found, diagnosis, serves=serves)
    if not documents:
        output.line(f"No engine of '{chosen}' died, as far as its containers and the kept evidence tell.")
    output.document({"deployment": chosen, "deaths": documents})


def _choose(every: Deployments, name: str | None) -> str:
    try:
        return every.choose(name, usage="diagnose NAME")
    except (DeploymentNotFoundError, DockerUnavailableError):
        # The evidence outlives its deployment, and is there while the daemon is not.
        if name is not None and newest_evidence(user_directories(os.environ).evidence / name) is not None:
            return name
        raise


def _diagnoses(
    runtime: ContainerRuntime | None, seen: ContainerObservation | None, name: str
) -> Iterator[tuple[Found, Diagnosis]]:
    folder = user_directories(os.environ).evidence / name
    adapter = container_engine_for(_kind(seen))
    if runtime is None or seen is None or seen.is_empty:
        yield from _kept(newest_evidence(folder), adapter)
        return
    # Kept at the moment of the failure, it knows more than the container: that it was late, or silent.
    kept = list(_kept(present_evidence(folder, seen.containers), adapter))
    yield from kept
    if kept and seen.state is DeploymentState.FAILED:
        return
    for found in _deaths(runtime, seen, adapter):
        settings = _settings(seen, found.container)
        if settings is not None:
            yield found, name_cause(found.death, settings, all_signatures(adapter.signatures()))


def _kept(facts: Mapping[str, Any] | None, adapter: ContainerEngine) -> Iterator[tuple[Found, Diagnosis]]:
    """Yield the death that a file of evidence tells of: of a container, or of a process."""
    if facts is None:
        return
    found = death_of_evidence(facts)
    if found is not None and found.settings is not None:
        yield found, name_cause(found.death, found.settings, all_signatures(adapter.signatures()))
    elif found is None and isinstance(facts.get("exit_code"), int):
        yield _of_process(facts)


def _of_process(facts: Mapping[str, Any]) -> tuple[Found, Diagnosis]:
    lines = tuple(map(str, facts.get("log") or ()))
    told = adapter_for("embedded").explain_exit(facts["exit_code"], lines)
    found = Found(
        container=str(facts.get("role")),
        death=Death(exit_code=facts["exit_code"], lines=lines, was_ready=bool(facts.get("was_ready"))),
        source=f"the evidence in {facts.get('file')}",
    )
    return found, Diagnosis(
        name="process-ended",
        cause=told.cause,
        evidence=lines[-_SHOWN_LINES:],
        next_step=told.next_step,
        exit_code=told.exit_code,
    )


def _deaths(runtime: ContainerRuntime, seen: ContainerObservation, adapter: ContainerEngine) -> Iterator[Found]:
    for container in seen.all_engines:
        found = find_death(runtime.engine, container, adapter)
        if found is not None and (found.death.exit_code not in _ORDERLY or found.death.oom_killed):
            yield found


def _kind(seen: ContainerObservation | None) -> str:
    engines = () if seen is None else seen.all_engines
    return next((one.labels[labels.ENGINE] for one in engines if labels.ENGINE in one.labels), _DEFAULT_ENGINE)


def _settings(seen: ContainerObservation | None, container: str) -> EngineSettings | None:
    one = next((one for one in (() if seen is None else seen.all_engines) if one.name == container), None)
    if one is None:
        return None
    gpus = len(labels.read_gpus(one.labels))
    return engine_settings(
        labels.read_settings(one.labels), image=one.labels.get(labels.IMAGE, one.image), gpu_count=gpus
    )


def _show(output: Output, name: str, found: Found, diagnosis: Diagnosis, *, serves: bool) -> None:
    when = "" if found.at_s is None else f", {duration(time.time() - found.at_s)} ago"
    output.line(f"{found.container}: {diagnosis.name}{when}", style="bold red")
    output.line(f"  cause     {diagnosis.cause}")
    for number, line in enumerate(diagnosis.evidence):
        output.line(f"  {'' if number else 'evidence':<9} {line}", style="dim")
    command = UpCommand(profile=found.profile or "PROFILE", name=name, overrides=found.overrides, replaces=serves)
    step = next_step(diagnosis, command)
    if step is not None:
        first, *others = step.splitlines()
        output.line(f"  next      {first}")
        for other in others:
            output.line(f"            {other.strip()}")
    output.line(f"  from      {found.source}", style="dim")
