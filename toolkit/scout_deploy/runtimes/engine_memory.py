"""What engines in containers have of their GPUs' memory: the drivers' tools are asked inside them, their logs are read.

Unproven on hardware: tested with lines and answers that other people posted.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

from scout_deploy.containers import labels
from scout_deploy.containers.log_lines import parse_log
from scout_deploy.containers.observed import ObservedContainer
from scout_deploy.engines.container_engine import ContainerEngine
from scout_deploy.errors import DockerUnavailableError
from scout_deploy.fit.measured_start import Measured, MeasuredStart, read_planned
from scout_deploy.gpus.gpu import Gpu
from scout_deploy.gpus.inventory import read_inventory
from scout_deploy.gpus.tool import RunTool, ToolAnswer
from scout_deploy.runtimes.docker_answers import ExecResult
from scout_deploy.runtimes.docker_errors import DaemonRefusedError

# What a shell and Docker say of a program that is not there.
_NO_SUCH_PROGRAM = (-1, 126, 127)
_TROUBLE = (DaemonRefusedError, DockerUnavailableError)


class Containers(Protocol):
    """The part of a daemon that is asked; see `DockerEngine`."""

    def exec(self, container: str, argv: tuple[str, ...]) -> ExecResult:
        """Run a command inside a running container and wait for it."""
        ...

    def log(self, container: str, *, tail: int | None = None, since_s: float | None = None) -> bytes:
        """Return the container's log, each line behind Docker's time stamp."""
        ...


def used_bytes(docker: Containers, container: ObservedContainer) -> tuple[int | None, ...]:
    """Return what is in use of each GPU of a running engine, whoever uses it; empty where that cannot be told."""
    indexes = sorted(labels.read_gpus(container.labels))
    if not indexes:
        return ()
    try:
        gpus = read_inventory(_tool_in(docker, container.id)).gpus
    except _TROUBLE:
        # It ended meanwhile, or the daemon did. Nobody waits for this figure.
        return ()
    return tuple(None if gpu is None else gpu.memory_used_bytes for gpu in _own(gpus, indexes))


def measure(
    docker: Containers, adapter: ContainerEngine, engines: Sequence[ObservedContainer], at_s: float
) -> tuple[MeasuredStart, ...]:
    """Hold engines that serve against what was planned of them; those of which nothing was are left out.

    Args:
        at_s: Seconds since the epoch.
    """
    return tuple(_measured(docker, adapter, engines, at_s))


def _measured(
    docker: Containers, adapter: ContainerEngine, engines: Sequence[ObservedContainer], at_s: float
) -> Iterator[MeasuredStart]:
    for one in engines:
        planned = read_planned(one.labels.get(labels.PLANNED, ""))
        if planned is None:
            continue
        try:
            lines = [line.text for line in parse_log(docker.log(one.id, since_s=one.started_s))]
        except _TROUBLE:
            continue
        measured = Measured(kv_tokens=adapter.kv_tokens(lines), used_bytes=used_bytes(docker, one))
        yield MeasuredStart(
            at_s=at_s, instance=one.id, setting=planned.setting, predicted=planned.prediction, measured=measured
        )


def _own(gpus: Sequence[Gpu], indexes: Sequence[int]) -> Iterator[Gpu | None]:
    """Yield the GPUs of these indexes on the host; a container that has only its own counts them from 0."""
    if len(gpus) == len(indexes):
        yield from sorted(gpus, key=lambda gpu: gpu.index)
        return
    by_index = {gpu.index: gpu for gpu in gpus}
    yield from (by_index.get(index) for index in indexes)


def _tool_in(docker: Containers, container: str) -> RunTool:
    def run(argv: tuple[str, ...]) -> ToolAnswer:
        result = docker.exec(container, argv)
        return ToolAnswer(status=None if result.code in _NO_SUCH_PROGRAM else result.code, text=result.output)

    return run
