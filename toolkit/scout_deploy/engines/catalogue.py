"""Which adapter reads which engine."""

from scout_deploy.engines.adapter import EngineAdapter
from scout_deploy.engines.embedded import EmbeddedAdapter


def adapter_for(kind: str) -> EngineAdapter:
    """Return the adapter of an engine kind.

    Raises:
        KeyError: No adapter is named so; a plan never names one that is not here.
    """
    return {"embedded": EmbeddedAdapter}[kind]()
