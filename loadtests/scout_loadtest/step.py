"""One step of a benchmark: a load that is held for a while, and what came of it."""

from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from scout_loadtest.figures import Figures, Targets
from scout_loadtest.record import Record


class Arrival(StrEnum):
    """When requests are sent."""

    CLOSED = "closed"  # each of `users` sends its next when its last was answered
    CONSTANT = "constant"  # `rate` a second, evenly spaced, whatever is answered
    POISSON = "poisson"  # `rate` a second on average, as independent people do


class Load(BaseModel):
    """What is sent, and how.

    Args:
        users: Of a closed loop.
        rate: Of an open loop, in requests a second.
        duration_s: Of the measured time, which begins after the warm-up.
        seed: Two loads with the same seed send the same requests in the same order.
        mix: Weight of each kind of the workload; see `scout_loadtest.workload.kind`.
        data: JSON lines with lengths or prompts of the user's own; the shipped ones without it.
        data_sha256: Of that file as it was sent from, which says whether two loads asked the same.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    arrival: Arrival
    users: int | None = Field(default=None, ge=1)
    rate: float | None = Field(default=None, gt=0)
    duration_s: float = Field(gt=0)
    warm_up_s: float = Field(default=0.0, ge=0)
    seed: int = 0
    mix: dict[str, float]
    data: Path | None = None
    data_sha256: str | None = None
    request_timeout_s: float = Field(default=60.0, gt=0)


class ClientHealth(BaseModel):
    """Whether the client itself kept up: where it did not, its figures say nothing of the server.

    Args:
        cpu: Share of one processor that the client used.
        late_p99_ms: How late requests were sent, in an open loop.
        reason: Why it counts as saturated, in words; null where it kept up.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cpu: float
    late_p99_ms: float | None = None
    reason: str | None = None


class StepResult(BaseModel):
    """What came of one load.

    Args:
        began_at: Seconds since the epoch, at the records' zero: the beginning of the load.
        interrupted: Why it ended before its time, in words.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    load: Load
    targets: Targets
    began_at: float
    took_s: float
    records: tuple[Record, ...]
    figures: Figures
    client: ClientHealth
    interrupted: str | None = None
