"""A whole benchmark: what ran, where, and the results of its steps. Its JSON is what is kept and compared."""

from pydantic import BaseModel, ConfigDict

from scout_loadtest.figures import Targets
from scout_loadtest.step import StepResult

FORMAT = 1
GATE = "gate"
"""The purpose of a step that decided over an exchange of engines."""


class Subject(BaseModel):
    """What was measured.

    Args:
        engine: Its kind and version, as the API's /status says.
        image_digest: Of the engine's image; null for the process runtime and for a URL that is not ours.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    deployment: str | None = None
    profile: str | None = None
    model: str | None = None
    engine: str | None = None
    image_digest: str | None = None


class Sample(BaseModel):
    """What the proxy and its engines said of themselves at one moment, through /status and /metrics.

    Args:
        at_s: Seconds since the run began.
        is_answering: Whether the proxy answered; the rest is null where it did not.
        engines_serving: How many upstreams take requests.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    at_s: float
    is_answering: bool
    engines_serving: int | None = None
    in_flight: int | None = None
    waiting: int | None = None
    output_tokens_total: float | None = None
    cache_hits_total: float | None = None
    requests_total: float | None = None


class Step(BaseModel):
    """A step with its place in the run.

    Args:
        purpose: "curve" (one point of the throughput-latency curve), "search" (a try of the highest rate), "gate".
        starts_s: Seconds from the run's beginning to the records' zero.
        holds: Of a search: whether the service level held, and why not.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    purpose: str
    starts_s: float
    result: StepResult
    holds: bool | None = None
    because: str | None = None


class BenchRun(BaseModel):
    """All of it.

    Args:
        goodput_target: Share of the requests that have to keep all targets at once; null where that is not asked for.
        highest_rate: The highest arrival rate (requests a second) that was seen to hold the service level; null where
            none was searched or none held.
        lowest_failed_rate: The lowest that was seen to miss it.
        least_rate: The lowest arrival rate that such a run can judge; null where none was searched.
        interrupted: Why the run ended before its time, in words.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    id: str
    began_at: float
    took_s: float
    version: str
    machine: str
    subject: Subject
    targets: Targets
    goodput_target: float | None = None
    percentile: float = 99.0
    seed: int
    steps: tuple[Step, ...]
    timeline: tuple[Sample, ...]
    highest_rate: float | None = None
    lowest_failed_rate: float | None = None
    least_rate: float | None = None
    interrupted: str | None = None
