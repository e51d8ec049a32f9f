"""What `scout-deploy status` says of a deployment of containers."""

import http.client
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rich.table import Table

from scout_deploy.cli.durations import duration
from scout_deploy.cli.gpu_memory import GpuMemory, look_at_gpus
from scout_deploy.cli.locking import lock_of, settings_drift
from scout_deploy.cli.output import Output
from scout_deploy.cli.shared_cache import show_trouble
from scout_deploy.containers import labels
from scout_deploy.containers.observation import ContainerObservation, generation_of
from scout_deploy.containers.observed import ObservedContainer
from scout_deploy.deployment import DeploymentState, differences
from scout_deploy.deployment_lock import holder_of
from scout_deploy.errors import DeployError
from scout_deploy.profile.layers import parse_overrides
from scout_deploy.profile.loader import load_profile
from scout_deploy.profile.profile import Profile
from scout_deploy.profile.settings import flatten_settings
from scout_deploy.profile_lock.pins import running_changes
from scout_deploy.proxy_secrets import KeptSecrets, make_secrets
from scout_deploy.proxy_settings import changes, proxy_settings, settings_of, started_settings
from scout_deploy.runtimes.container_failure import UpCommand
from scout_deploy.runtimes.container_runtime import ContainerRuntime
from scout_deploy.runtimes.postmortem import present_evidence
from scout_proxy.version import __version__

_PROXY_TIMEOUT_S = 3.0
_MEBIBYTE = 2**20


@dataclass(frozen=True, kw_only=True)
class ContainerStatus:
    """One look at a deployment.

    Args:
        proxy: What its proxy answers on /status; None where it does not.
        memory_bytes: Of each running container, by its name.
        gpu_memory: Of each running engine that has GPUs, by its container's name.
        changed_by: The command that changes it now; None where none does.
        drift: How the profile, as it is now, differs from what runs, one line for each key.
    """

    seen: ContainerObservation
    proxy: dict[str, Any] | None
    memory_bytes: dict[str, int | None]
    changed_by: str | None
    drift: tuple[str, ...]
    failure: dict[str, Any] | None
    gpu_memory: Mapping[str, GpuMemory] = field(default_factory=dict)

    @property
    def state(self) -> str:
        """How it is, in one word; `incomplete` where an interrupted command left a part of it."""
        if self.seen.state is not None:
            return self.seen.state.value
        if self._declared_failed:
            return DeploymentState.FAILED.value
        return DeploymentState.STARTING.value if self.changed_by is not None else "incomplete"

    @property
    def _declared_failed(self) -> bool:
        upstreams = (self.proxy or {}).get("upstreams") or ()
        return bool(upstreams) and all(one.get("declared") == "failed" for one in upstreams)

    @property
    def cause(self) -> str | None:
        """Why its start failed, as the proxy was told."""
        upstreams = (self.proxy or {}).get("upstreams") or ()
        return next(
            (one["phase"].get("detail") for one in upstreams if one.get("declared") == "failed" and one.get("phase")),
            None,
        )

    def document(self) -> dict[str, object]:
        """Return everything, as JSON has it."""
        return {
            "name": self.seen.name,
            "profile": self.seen.profile,
            "url": self.seen.url,
            "state": self.state,
            "changed_by": self.changed_by,
            "generation": self.seen.generation,
            "containers": [self._container(one) for one in self.seen.containers],
            "drift": list(self.drift),
            "failure": self.failure,
            "proxy": self.proxy,
        }

    def upstream(self, container: str) -> dict[str, Any]:
        """Return what the proxy says of an engine; empty where it says nothing."""
        upstreams = (self.proxy or {}).get("upstreams", ())
        return next((dict(one) for one in upstreams if one.get("id") == container), {})

    def _container(self, one: ObservedContainer) -> dict[str, object]:
        upstream, gpu_memory = self.upstream(one.name), self.gpu_memory.get(one.name)
        return {
            "name": one.name,
            "role": one.labels.get(labels.ROLE),
            "replica": one.labels.get(labels.REPLICA),
            "generation": generation_of(one) or None,
            "image": one.labels.get(labels.IMAGE, one.image),
            "image_id": one.image_id,
            "status": one.status,
            "phase": (upstream.get("phase") or {}).get("name"),
            "observed": upstream.get("observed"),
            "in_flight": upstream.get("in_flight"),
            "health": one.health,
            "restarts": one.restarts,
            "gpus": list(labels.read_gpus(one.labels)),
            "memory_bytes": self.memory_bytes.get(one.name),
            "gpu_memory": None if gpu_memory is None else gpu_memory.document,
            "started_s": one.started_s,
            "exit_code": one.exit_code if one.has_ended else None,
            "oom_killed": one.oom_killed,
        }


def look_at_containers(runtime: ContainerRuntime, name: str) -> ContainerStatus:
    """Ask the daemon, the proxy and the profile.

    Raises:
        DeploymentNotFoundError: Nothing of it is there.
    """
    seen = runtime.observe(name)
    failure = None
    if seen.state is DeploymentState.FAILED:
        failure = present_evidence(runtime.directories.evidence / name, seen.containers)
    return ContainerStatus(
        seen=seen,
        proxy=_ask_proxy(runtime, seen),
        memory_bytes=_memory(runtime, seen),
        changed_by=holder_of(runtime.directories.deployments, name),
        drift=(*_drift(runtime, seen), *_lock_drift(seen)),
        failure=failure,
        gpu_memory=look_at_gpus(runtime, seen),
    )


def show_containers(output: Output, status: ContainerStatus) -> None:
    """Print it for a person."""
    seen = status.seen
    styles = {"ready": "bold green", "failed": "bold red", "incomplete": "bold red"}
    output.line(f"{seen.name}: {status.state}", style=styles.get(status.state, "bold yellow"))
    if seen.url is not None:
        output.line(f"  url       {seen.url}")
    output.line(f"  profile   {seen.profile}")
    if status.proxy is not None and (serving := status.proxy.get("serving")):
        facts = [serving.get(key) for key in ("model_id", "quantization", "engine", "engine_version")]
        output.line(f"  serving   {' · '.join(str(fact) for fact in facts if fact)}")
        output.line(f"  requests  {status.proxy.get('in_flight', 0)} in flight")
    show_trouble(output, status.proxy)
    if status.changed_by is not None:
        output.line(f"  changing  {status.changed_by}")
    if status.failure is not None:
        _show_failure(output, seen, status.failure)
    elif status.cause is not None:
        output.line(f"  cause     {status.cause}", style="red")
        output.line("  next      mend it and run the same `up` again, or take it down")
    for step in _next_steps(status):
        output.line(f"  next      {step}")
    for number, line in enumerate(status.drift):
        output.line(f"  {'' if number else 'drift':<9} {line}", style="yellow")
    if not output.as_json:
        output.console.print(_table(status))
    lines = (line for name, memory in status.gpu_memory.items() for line in memory.lines(name))
    for number, line in enumerate(lines):
        output.line(f"  {'' if number else 'memory':<9} {line}")


def _next_steps(status: ContainerStatus) -> Iterator[str]:
    seen = status.seen
    overrides = labels.read_overrides(seen.settings_labels)
    command = UpCommand(profile=seen.profile, name=seen.name, overrides=overrides).text
    if status.state == "incomplete":
        yield f"an interrupted command left this; scout-deploy down {seen.name} removes it"
    if seen.other_engines:
        yield f"an update is under way, or was interrupted and this ends it: {command}"
    if status.state == DeploymentState.RECOVERING.value and (ended := _left_alone(seen)):
        yield f"Docker leaves {ended}, which was stopped by hand; this starts it: {command}"


def _left_alone(seen: ContainerObservation) -> str:
    """Name the containers that ended and stay so: Docker brings none back that `docker stop` or `docker kill` ended."""
    parts = (*seen.engines, *([seen.proxy] if seen.proxy is not None else []))
    return " and ".join(one.name for one in parts if one.has_ended and one.policy != "no")


def _show_failure(output: Output, seen: ContainerObservation, failure: dict[str, Any]) -> None:
    diagnosis = failure.get("diagnosis") or {}
    output.line(f"  cause     {diagnosis.get('cause')}", style="red")
    for line in diagnosis.get("evidence") or ():
        output.line(f"            {line}", style="dim")
    output.line(f"  next      scout-deploy diagnose {seen.name}")


def _table(status: ContainerStatus) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    table.add_column("  container")
    table.add_column("phase")
    for heading in ("up for", "restarts", "GPUs", "memory", "in flight"):
        table.add_column(heading, justify="right")
    for one in status.seen.containers:
        upstream = status.upstream(one.name)
        memory = status.memory_bytes.get(one.name)
        table.add_row(
            f"  {one.name}",
            _phase(one, upstream),
            duration(time.time() - one.started_s) if one.is_running and one.started_s else "-",
            str(one.restarts),
            ",".join(map(str, labels.read_gpus(one.labels))) or "-",
            "-" if memory is None else f"{memory / _MEBIBYTE:.0f} MiB",
            str(upstream.get("in_flight", "-")),
        )
    return table


def _phase(one: ObservedContainer, upstream: dict[str, Any]) -> str:
    if one.has_ended:
        return f"ended with status {one.exit_code}" + (", out of memory" if one.oom_killed else "")
    if not upstream or not one.is_running:
        return one.status
    phase = upstream.get("phase") or {}
    observed = str(upstream.get("observed"))
    return str(phase.get("name") or observed) if observed == "starting" else observed


def _memory(runtime: ContainerRuntime, seen: ContainerObservation) -> dict[str, int | None]:
    if not runtime.engine.facts().has_cgroups:
        # It would report the whole machine's for each.
        return {}
    return {one.name: runtime.engine.memory_bytes(one.id) for one in seen.containers if one.is_running}


def _ask_proxy(runtime: ContainerRuntime, seen: ContainerObservation) -> dict[str, Any] | None:
    if seen.proxy is None or not seen.proxy.is_running:
        return None
    try:
        answer = runtime.link(seen).ask("/status", timeout_s=_PROXY_TIMEOUT_S)
    except (OSError, http.client.HTTPException):
        return None
    return answer.body if answer.status == http.client.OK and isinstance(answer.body, dict) else None


def _drift(runtime: ContainerRuntime, seen: ContainerObservation) -> tuple[str, ...]:
    """Compare what runs with the profile as it is now; one that is gone or broken says nothing."""
    if not seen.profile or not seen.settings:
        return ()
    try:
        overrides = parse_overrides(labels.read_overrides(seen.settings_labels))
        profile = load_profile(seen.profile, environment=os.environ, overrides=overrides).profile
    except DeployError:
        return ()
    started = differences(started_settings(seen.settings), started_settings(flatten_settings(profile, __version__)))
    return (*started, *_live_drift(profile, runtime.routes(seen.name).kept()))


def _lock_drift(seen: ContainerObservation) -> tuple[str, ...]:
    """Compare what runs with the profile's lock, where there is one."""
    lock = lock_of(seen.profile) if seen.profile else None
    if lock is None:
        return ()
    running = dict.fromkeys(running_changes(lock, seen))
    return (*settings_drift(lock, seen.settings), *(f"lock: {line}" for line in running))


def _live_drift(profile: Profile, kept: KeptSecrets) -> tuple[str, ...]:
    """Compare what the proxy is told; nothing where its secrets cannot be read here."""
    if kept.table is None:
        return ()
    try:
        wanted = proxy_settings(profile, make_secrets(profile, os.environ, kept))
    except DeployError:
        return ()
    return changes(settings_of(kept.table), wanted)
