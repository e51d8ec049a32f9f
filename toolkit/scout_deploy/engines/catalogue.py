"""Which adapter reads which engine."""

from scout_deploy.engines.adapter import EngineAdapter
from scout_deploy.engines.container_engine import ContainerEngine, PlannedEngine
from scout_deploy.engines.embedded import EmbeddedAdapter
from scout_deploy.engines.tgi.adapter import TgiAdapter
from scout_deploy.shipped_profiles import shipped_for_tgi


def adapter_for(kind: str) -> EngineAdapter:
    """Return the adapter of an engine kind.

    Raises:
        KeyError: No adapter is named so; a plan never names one that is not here.
    """
    return {"embedded": EmbeddedAdapter}[kind]()


def container_engine_for(kind: str) -> ContainerEngine:
    """Return the adapter of an engine kind that runs in containers.

    Raises:
        KeyError: No adapter is named so; a plan never names one that is not here.
    """
    return {"tgi": lambda: TgiAdapter(shipped=shipped_for_tgi)}[kind]()


def planning_engine_for(kind: str) -> PlannedEngine:
    """Return the same adapter for many plans: one that names no other profile where it refuses.

    Raises:
        KeyError: No adapter is named so; a plan never names one that is not here.
    """
    return {"tgi": TgiAdapter}[kind]()
