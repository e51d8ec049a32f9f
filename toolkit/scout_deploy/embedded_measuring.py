"""Keeps what an embedded engine really took once it serves, and finds it again."""

from dataclasses import dataclass

from scout_deploy.embedded_plan import corrected, instance_of, measured_start, memory_of_command, start_of_command
from scout_deploy.fit.measured_start import EmbeddedPrediction
from scout_deploy.machine import machine_name
from scout_deploy.memory_history import MemoryHistory
from scout_deploy.processes import ProcessIdentity, resident_bytes
from scout_deploy.runtimes.process_runtime import Observation


@dataclass(frozen=True, kw_only=True)
class EngineMemory:
    """A running engine's memory, in bytes; None where it cannot be told.

    Args:
        predicted: After the start.
        most: The same once long prompts came.
        correction: What of both earlier starts on this machine had taught.
    """

    resident: int | None
    predicted: int | None
    most: int | None
    correction: int = 0


def keep_memory(history: MemoryHistory, seen: Observation, version: str, at_s: float) -> None:
    """Keep what the engine of a deployment that just came up takes; nothing where that cannot be told.

    Args:
        version: The product's.
        at_s: Seconds since the epoch.
    """
    process, start = _engine(seen), start_of_command(seen.spec.engine.argv)
    memory = memory_of_command(seen.spec.engine.argv)
    resident = None if process is None else resident_bytes(process)
    if process is None or resident is None or start is None or memory is None:
        return
    setting = start.setting(machine_name(), version)
    planned, _ = corrected(memory, setting, history.starts())
    history.keep([measured_start(setting, planned, process, resident, at_s)])


def look_at_memory(history: MemoryHistory, seen: Observation) -> EngineMemory:
    """Return what the engine has now beside what was predicted of its start."""
    process = _engine(seen)
    resident = None if process is None else resident_bytes(process)
    kept = None if process is None else history.start_of(instance_of(process))
    if kept is not None and isinstance(kept.predicted, EmbeddedPrediction):
        told = kept.predicted
        return EngineMemory(resident=resident, predicted=told.started, most=told.most, correction=told.correction)
    memory = memory_of_command(seen.spec.engine.argv)
    if memory is None:
        return EngineMemory(resident=resident, predicted=None, most=None)
    return EngineMemory(resident=resident, predicted=memory.started, most=memory.most)


def _engine(seen: Observation) -> ProcessIdentity | None:
    processes = () if seen.status is None else seen.status.processes
    return next((one.identity for one in processes if one.role == "engine"), None)
