"""A container as the Docker daemon describes it; read from its answers, pure."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from scout_deploy.containers.spec import Frozen

Status = Literal["created", "running", "paused", "restarting", "removing", "exited", "dead"]

# Taken apart here because `fromisoformat` knows no more than six digits of a second, and Docker writes nine.
_STAMP = re.compile(
    r"(?P<whole>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(?P<fraction>\d+))?(?P<zone>Z|[+-]\d\d:\d\d)?", re.ASCII
)


class ObservedContainer(Frozen):
    """What is known of one container now.

    Args:
        exit_code: Of its last end; 0 while it never ended, and again while it runs.
        error: The daemon's own word on why it could not be started.
        started_s: Seconds since the epoch of its last start; None before the first.
        restarts: How often the daemon started it again by itself.
        policy: Its restart policy as it is now.
        health: The last word of its health check; None without one.
        pid: Of its main process on the Docker host; 0 while it does not run.
        image_id: Of the image that it really runs.
    """

    id: str
    name: str
    labels: dict[str, str] = Field(default_factory=dict)
    status: Status
    exit_code: int = 0
    oom_killed: bool = False
    error: str = ""
    created_s: float = 0.0
    started_s: float | None = None
    finished_s: float | None = None
    restarts: int = 0
    policy: str = "no"
    health: str | None = None
    pid: int = 0
    image: str = ""
    image_id: str = ""

    @property
    def is_running(self) -> bool:
        """Whether its main process lives."""
        return self.status in {"running", "paused"}

    @property
    def has_ended(self) -> bool:
        """Whether it ran, or should have, and does not any more; one that cannot start is `created`, with an error."""
        return self.status in {"exited", "dead"} or (self.status == "created" and bool(self.error))


def observed(answer: Mapping[str, Any]) -> ObservedContainer:
    """Read the daemon's answer to an inspection."""
    state: Mapping[str, Any] = answer.get("State") or {}
    config: Mapping[str, Any] = answer.get("Config") or {}
    host: Mapping[str, Any] = answer.get("HostConfig") or {}
    health: Mapping[str, Any] = state.get("Health") or {}
    return ObservedContainer(
        id=answer["Id"],
        name=str(answer.get("Name", "")).removeprefix("/"),
        labels=dict(config.get("Labels") or {}),
        status=state.get("Status", "created"),
        exit_code=state.get("ExitCode", 0),
        oom_killed=bool(state.get("OOMKilled")),
        error=state.get("Error") or "",
        created_s=epoch_s(answer.get("Created")) or 0.0,
        started_s=epoch_s(state.get("StartedAt")),
        finished_s=epoch_s(state.get("FinishedAt")),
        restarts=answer.get("RestartCount", 0),
        policy=(host.get("RestartPolicy") or {}).get("Name") or "no",
        health=health.get("Status"),
        pid=state.get("Pid", 0),
        image=config.get("Image", ""),
        image_id=answer.get("Image", ""),
    )


def epoch_s(stamp: object) -> float | None:
    """Return Docker's time stamp as seconds since the epoch; None for its zero time, the year 1, and for other text."""
    found = _STAMP.fullmatch(stamp) if isinstance(stamp, str) else None
    if found is None or found["whole"].startswith("0001-"):
        return None
    zone = "+00:00" if found["zone"] in {None, "Z"} else found["zone"]
    try:
        moment = datetime.fromisoformat(f"{found['whole']}{zone}")
    except ValueError:
        return None
    return moment.timestamp() + float(f"0.{found['fraction'] or 0}")
