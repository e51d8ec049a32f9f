"""What one kind of death looks like, and how it is explained."""

from collections.abc import Callable
from dataclasses import dataclass

from scout_deploy.diagnosis.death import Death
from scout_deploy.diagnosis.diagnosis import Diagnosis, EngineSettings

Evidence = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Signature:
    """One kind of death.

    Args:
        name: Such as `out-of-memory-at-warm-up`.
        matcher: Returns what shows that it is this death (log lines, facts), or None where it is not.
        explain: Puts it in words. Its last argument is what the matcher returned.
    """

    name: str
    matcher: Callable[[Death], Evidence | None]
    explain: Callable[[Death, EngineSettings, Evidence], Diagnosis]
