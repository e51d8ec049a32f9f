"""The gate of an exchange that is only shown."""

from dataclasses import dataclass

from scout_deploy.profile.profile import ServiceLevel


@dataclass(frozen=True, kw_only=True)
class PlannedGate:
    """What would be measured of new engines.

    Args:
        level: What they would have to keep; `level_words` says it.
    """

    users: int
    duration_s: float
    level: ServiceLevel
    level_words: str

    @property
    def line(self) -> str:
        """In words."""
        return (
            f"gate           {self.users} users for {self.duration_s:g} s, before the new engines get requests; "
            f"{self.level_words}, else the old ones serve on"
        )
