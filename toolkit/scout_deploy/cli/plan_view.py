"""What `up --dry-run` shows: every container or process, and what it is given."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scout_deploy.api_keys.named_key import OPERATOR
from scout_deploy.cli.output import Output
from scout_deploy.cli.planned_gate import PlannedGate
from scout_deploy.containers.deployment import ContainerDeployment
from scout_deploy.containers.spec import ContainerSpec
from scout_deploy.deployment import DeploymentSpec
from scout_deploy.weights_meter import UNRESOLVED
from scout_proxy.route_table import CachePolicy, RouteTable

_GIGABYTE = 1e9


@dataclass(frozen=True, kw_only=True)
class ShownFit:
    """Whether what is planned fits.

    Args:
        lines: For a person, the verdict first.
        document: The same for machines; None where nothing is known.
    """

    lines: tuple[str, ...]
    document: Mapping[str, Any] | None = None


def show_plan(
    output: Output,
    plan: ContainerDeployment | DeploymentSpec,
    remarks: Sequence[str] = (),
    *,
    fit: ShownFit | None = None,
    gate: PlannedGate | None = None,
) -> None:
    """Print a plan for a person, or whole as JSON; of API keys their names.

    Args:
        remarks: Of a deployment of processes; one of containers has its own.
        gate: What engines that are exchanged would have to pass.
    """
    document = _without_secrets(plan.model_dump(mode="json"))
    if gate is not None:
        level = gate.level.model_dump(mode="json")
        document["gate"] = {"users": gate.users, "duration_s": gate.duration_s, "service_level": level}
    output.document({**document, "fit": None if fit is None else fit.document})
    first, *lines = _container_lines(plan) if isinstance(plan, ContainerDeployment) else _process_lines(plan, remarks)
    for line in (first, *(() if fit is None else fit.lines), *lines):
        output.line(line)
    if gate is not None:
        output.line(gate.line)


def _without_secrets(document: dict[str, Any]) -> dict[str, Any]:
    """Leave out what tells of a key, or is drawn anew for each plan."""
    routes = document["routes"]
    routes["cache"].pop("redis_url_file")
    if routes["keys"] is not None:
        routes["keys"].pop("salt")
        for key in routes["keys"]["keys"]:
            key.pop("digest")
    return document


def _process_lines(plan: DeploymentSpec, remarks: Sequence[str]) -> Iterator[str]:
    yield f"Deployment '{plan.name}' from profile '{plan.profile}', as processes of this user; nothing was started."
    yield from (f"note: {remark}" for remark in remarks)
    yield from _route_lines(plan.routes)
    for process in (plan.proxy, plan.engine):
        yield f"{process.role}"
        yield f"  command      {' '.join(process.argv)}"
        yield from _mapping("environment", process.environment)


def _container_lines(plan: ContainerDeployment) -> Iterator[str]:
    yield f"Deployment '{plan.name}' from profile '{plan.profile}', in containers; nothing was started."
    for remark in plan.remarks:
        yield f"note: {remark}"
    if plan.weights.commit is None and plan.weights.path.endswith(f"/{UNRESOLVED}"):
        yield f"note: {UNRESOLVED} stands for the model's commit, which is resolved at the start"
    yield f"network        {plan.names.network}"
    yield f"volume         {plan.names.routes_volume}"
    yield from _route_lines(plan.routes)
    for spec in (plan.proxy, *plan.engines):
        yield from _spec_lines(spec)


def _route_lines(table: RouteTable) -> Iterator[str]:
    if table.keys is not None:
        names = (key.id for key in table.keys.keys if key.id != OPERATOR)
        yield f"API keys       {', '.join(names)} (the proxy is told their digests, and nobody the keys)"
    if table.cors.origins:
        yield f"web pages      {', '.join(table.cors.origins)}"
    store = "in Redis" if table.cache.redis_url_file is not None else "in memory"
    yield f"cache          {table.cache.policy}" + ("" if table.cache.policy is CachePolicy.OFF else f", {store}")


def _spec_lines(spec: ContainerSpec) -> Iterator[str]:
    yield f"{spec.name}"
    yield f"  image        {spec.image}"
    if spec.command:
        yield f"  command      {' '.join(spec.command)}"
    yield from _mapping("environment", spec.environment)
    if spec.gpus is not None:
        yield f"  GPUs         {spec.gpus.vendor} {', '.join(spec.gpus.ids)} by {spec.gpus.access}"
    yield from (f"  device       {device}" for device in spec.devices)
    for mount in spec.mounts:
        mode = ", read-only" if mount.read_only else ""
        yield f"  mount        {mount.source or mount.kind} -> {mount.target} ({mount.kind}{mode})"
    yield from (f"  published    {port.host}:{port.port} -> {port.container_port}" for port in spec.ports)
    if spec.shm_size_bytes is not None:
        yield f"  shm          {spec.shm_size_bytes / _GIGABYTE:g} GB"
    root = "read-only root, " if spec.read_only else ""
    yield f"  rights       {root}user {spec.user or 'of the image'}, capabilities {', '.join(spec.cap_add) or 'none'}"


def _mapping(title: str, values: dict[str, str]) -> Iterator[str]:
    for name, value in sorted(values.items()):
        yield f"  {title:<12} {name}={value}"
