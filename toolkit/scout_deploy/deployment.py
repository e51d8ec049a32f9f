"""A deployment, as declared (what is to run) and as observed (what the supervisor sees). Pure data."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from scout_deploy.processes import ProcessIdentity
from scout_proxy.route_table import RouteTable

PORT_PLACEHOLDER = "{port}"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ProcessSpec(_Frozen):
    """One process to keep running.

    Args:
        role: `proxy` or `engine`; names its log.
        argv: The command; an element that is `{port}` becomes the port it is given at each start. Never a secret.
        environment: On top of the environment of whoever starts it.
    """

    role: str
    argv: tuple[str, ...]
    environment: dict[str, str] = Field(default_factory=dict)


class DeploymentSpec(_Frozen):
    """What is to run.

    Args:
        settings: The resolved profile, flattened to `section/key: value`; what a later `up` is compared with.
        engine_kind: Names the adapter that reads the engine's log lines.
        routes: The first route table; the supervisor adds the upstreams and counts the revisions.
        start_timeout_s: Seconds from the engine's start to its readiness.
    """

    name: str
    profile: str
    settings: dict[str, str]
    engine_kind: str
    host: str
    port: int
    proxy: ProcessSpec
    engine: ProcessSpec
    routes: RouteTable
    start_timeout_s: float

    @property
    def url(self) -> str:
        """Where a client on this machine reaches the API."""
        return reachable_url(self.host, self.port)


class DeploymentState(StrEnum):
    """How a deployment is, in one word."""

    STARTING = "starting"
    READY = "ready"
    RECOVERING = "recovering"
    FAILED = "failed"
    STOPPING = "stopping"


class Exit(_Frozen):
    """How a process ended.

    Args:
        code: Exit status; negative is the number of the signal that killed it.
        served_s: Seconds from its start.
        evidence: File with everything that is known of this end.
    """

    code: int
    served_s: float
    evidence: str | None = None


class ProcessStatus(_Frozen):
    """One kept process, as last seen; `identity` is None while it is down."""

    role: str
    identity: ProcessIdentity | None = None
    restarts: int = 0
    last_exit: Exit | None = None


class PhaseRecord(_Frozen):
    """A phase of a start, in the engine adapter's words.

    Args:
        began_s: Seconds since the epoch.
    """

    name: str
    detail: str | None = None
    began_s: float


class Failure(_Frozen):
    """Why a start failed, for a person: cause, next step, and lines that show it.

    Args:
        exit_code: The status `scout-deploy up` ends with.
    """

    exit_code: int
    cause: str
    next_step: str | None = None
    evidence: tuple[str, ...] = ()
    evidence_file: str | None = None


class DeploymentStatus(_Frozen):
    """What the supervisor saw last; times are seconds since the epoch.

    Args:
        phases: Those of the start, or of the last recovery; the newest last.
    """

    state: DeploymentState
    supervisor: ProcessIdentity
    started_s: float
    ready_s: float | None = None
    phases: tuple[PhaseRecord, ...] = ()
    failure: Failure | None = None
    processes: tuple[ProcessStatus, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Up:
    """A deployment that serves.

    Args:
        was_running: It served before, unchanged; nothing was done.
    """

    name: str
    profile: str
    url: str
    was_running: bool
    elapsed_s: float


def reachable_url(host: str, port: int) -> str:
    """Return where a client on the same machine reaches what listens there; an open address is reached by loopback."""
    return f"http://{_reachable(host)}:{port}"


def _reachable(host: str) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:
        address = (
            ipaddress.IPv4Address("127.0.0.1")
            if isinstance(address, ipaddress.IPv4Address)
            else ipaddress.ip_address("::1")
        )
    return f"[{address}]" if isinstance(address, ipaddress.IPv6Address) else str(address)


def changed_keys(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[str, ...]:
    """Return the keys whose values differ between two flattened profiles."""
    return tuple(key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key))


def differences(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[str, ...]:
    """Say what changed between two flattened profiles, one line for each key."""
    return tuple(
        f"{key}: {old.get(key) or '(not set)'} -> {new.get(key) or '(not set)'}" for key in changed_keys(old, new)
    )
