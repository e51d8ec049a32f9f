"""`up --replace --gate`: what it needs, what it says beforehand, and what it shows."""

import os
from dataclasses import dataclass

from scout_deploy.bench.bench_gate import BenchGate, GateResult
from scout_deploy.bench.gate_load import DURATION_S, gate_load
from scout_deploy.bench.load_child import require_locust
from scout_deploy.bench.run_store import RunStore
from scout_deploy.cli.bench_view import level_words, step_event
from scout_deploy.cli.output import Output
from scout_deploy.errors import DeployError, ProfileError
from scout_deploy.profile.profile import Profile, ServiceLevel
from scout_deploy.runtimes.docker_address import DockerAddress
from scout_deploy.xdg import user_directories


@dataclass(frozen=True, kw_only=True)
class PlannedGate:
    """What would be measured of new engines."""

    users: int
    duration_s: float
    level: ServiceLevel

    @property
    def line(self) -> str:
        """In words."""
        return (
            f"gate           {self.users} users for {self.duration_s:g} s, before the new engines get requests; "
            f"{level_words(self.level)}, else the old ones serve on"
        )


def check_gate(profile: Profile, *, is_asked: bool, in_containers: bool, may_replace: bool) -> None:
    """Check that there is something to measure, and something to hold it against.

    Args:
        is_asked: By `--gate` itself, and not by an option of its own alone.

    Raises:
        ProfileError: There is not.
    """
    if not is_asked:
        raise ProfileError(
            "--gate-duration says how long --gate measures, and --gate is not there",
            next_step="scout-deploy up --replace --gate --gate-duration S",
        )
    if not may_replace:
        raise ProfileError(
            "--gate measures new engines before they take the place of the old ones, which --replace allows",
            next_step="scout-deploy up --replace --gate",
        )
    if not in_containers:
        raise ProfileError(
            "--gate is for engines in containers: as a local process there is one engine, which is not exchanged",
            next_step="scout-deploy bench measures what runs",
        )
    if not profile.service_level.is_set:
        raise ProfileError(
            "--gate holds new engines against the profile's service level, and the profile has none",
            next_step="service_level/ttft_p99_ms and the like in the profile, or --set service_level.ttft_p99_ms=MS",
        )


def check_reach(address: DockerAddress) -> None:
    """Check that this machine reaches the API's port.

    Raises:
        DeployError: It may not.
    """
    if not address.is_local:
        raise DeployError(
            f"--gate measures through the API's port, and the Docker daemon is on another machine ({address.url})",
            next_step="the same command on that machine, or without --gate and scout-deploy bench --url afterwards",
        )


def make_gate(output: Output, profile: Profile, duration_s: float | None) -> BenchGate:
    """Return the gate.

    Args:
        duration_s: That the user asks for.

    Raises:
        ExtraMissingError: What sends requests is not installed.
    """
    require_locust()

    def show(result: GateResult) -> None:
        event = step_event(result.step)
        report = None if result.report is None else str(result.report)
        output.event({**event, "event": "gate", "outcome": result.verdict.outcome.value, "report": report})

    return BenchGate(
        level=profile.service_level,
        store=RunStore(user_directories(os.environ).benchmarks),
        show=show,
        duration_s=duration_s or DURATION_S,
    )


def planned_gate(profile: Profile, duration_s: float | None) -> PlannedGate:
    """Return what would be measured."""
    load = gate_load(profile.replicas, None, duration_s or DURATION_S)
    return PlannedGate(users=load.users or 0, duration_s=load.duration_s, level=profile.service_level)
