"""What the adapter of an engine that runs in containers answers. Pure: nothing is started, pulled or read here."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from scout_deploy.containers.spec import HealthCheck
from scout_deploy.diagnosis.signature import Signature
from scout_deploy.engines.adapter import StartPhase
from scout_deploy.fit.engine_memory import EngineMemory
from scout_deploy.fit.gpu_kind import PlanGpu
from scout_deploy.fit.shape import ModelShape
from scout_deploy.model_facts import ModelFacts
from scout_deploy.profile.profile import Profile

Accelerator = Literal["nvidia", "amd", "intel-cpu"]


@dataclass(frozen=True, kw_only=True)
class EngineRequest:
    """What one engine container is to do.

    Args:
        accelerator: What it computes on.
        shards: GPUs of one replica, over which the model is split; 1 on a CPU.
        weights_path: The model's directory as the container sees it.
        payload_limit_bytes: Largest request body that the proxy may send.
    """

    profile: Profile
    facts: ModelFacts
    accelerator: Accelerator
    shards: int
    weights_path: str
    payload_limit_bytes: int


@dataclass(frozen=True, kw_only=True)
class EngineContainer:
    """The engine's part of a container's specification; see `ContainerSpec` for the fields of that name.

    Args:
        port: Where it listens inside the container.
        remarks: What a user should know beforehand: unproven combinations, what will be slow.
    """

    image: str
    environment: dict[str, str]
    port: int
    command: tuple[str, ...] = ()
    shm_size_bytes: int | None = None
    stop_timeout_s: int
    health: HealthCheck
    user: str | None = None
    read_only: bool = False
    ipc: Literal["private", "host"] = "private"
    devices: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    cap_add: tuple[str, ...] = ()
    security_options: tuple[str, ...] = ("no-new-privileges:true",)
    ulimits: dict[str, int] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


class ContainerEngine(Protocol):
    """One engine's habits in a container."""

    kind: str

    def container(self, request: EngineRequest) -> EngineContainer:
        """Say how one replica runs.

        Raises:
            ProfileError: A setting that the engine would refuse, or accept and then ignore, for this model; it names
                the nearest shipped profile that works.
        """
        ...

    def read_phase(self, line: str) -> StartPhase | None:
        """Return the phase that this log line announces, if it announces one."""
        ...

    def kv_tokens(self, lines: Iterable[str]) -> int | None:
        """Return the tokens that the engine itself says its KV cache holds, from its log; None where it does not."""
        ...

    def signatures(self) -> Sequence[Signature]:
        """Return how this engine's own deaths look in its log."""
        ...


class PlannedEngine(ContainerEngine, Protocol):
    """One whose use of a GPU's memory is known beforehand."""

    def memory(self, request: EngineRequest, shape: ModelShape, gpu: PlanGpu) -> EngineMemory:
        """Say what it does with the memory of GPUs like this one, or of a CPU."""
        ...
