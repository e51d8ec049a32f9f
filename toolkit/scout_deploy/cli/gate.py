"""`up --replace --gate`: what it says beforehand, and what it shows."""

import os

from scout_deploy.bench.bench_gate import BenchGate, GateResult
from scout_deploy.bench.gate_load import DURATION_S, gate_load
from scout_deploy.bench.load_child import require_locust
from scout_deploy.bench.run_store import RunStore
from scout_deploy.cli.bench_view import level_words, step_event
from scout_deploy.cli.output import Output
from scout_deploy.cli.planned_gate import PlannedGate
from scout_deploy.profile.profile import Profile
from scout_deploy.xdg import user_directories


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
    """Return what would be measured.

    Raises:
        ExtraMissingError: What sends requests is not installed.
    """
    require_locust()
    load = gate_load(profile.replicas, None, duration_s or DURATION_S)
    return PlannedGate(
        users=load.users or 0,
        duration_s=load.duration_s,
        level=profile.service_level,
        level_words=level_words(profile.service_level),
    )
