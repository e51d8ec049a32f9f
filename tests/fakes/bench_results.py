"""Results of loads, as a service with known behaviour would give them."""

from collections import Counter
from collections.abc import Iterable

from scout_loadtest.bench_run import BenchRun, Sample, Step, Subject
from scout_loadtest.figures import Figures, Targets
from scout_loadtest.record import ErrorKind, Record
from scout_loadtest.step import Arrival, ClientHealth, Load, StepResult

MIX = {"unique": 1.0}


def load(*, rate: float | None = None, users: int | None = None, duration_s: float = 10.0) -> Load:
    arrival = Arrival.CLOSED if rate is None else Arrival.POISSON
    own_users = users or (1 if rate is None else None)
    return Load(arrival=arrival, rate=rate, users=own_users, duration_s=duration_s, mix=MIX)


def record(
    index: int,
    *,
    due_s: float = 0.0,
    ttft_ms: float = 50.0,
    tpot_ms: float = 5.0,
    tokens: int = 11,
    error: ErrorKind | None = None,
    is_warm_up: bool = False,
) -> Record:
    first_s = due_s + ttft_ms / 1000
    last_s = first_s + tpot_ms * (tokens - 1) / 1000
    return Record(
        index=index,
        kind="unique",
        due_s=due_s,
        sent_s=due_s,
        first_token_s=None if error else first_s,
        last_token_s=None if error else last_s,
        ended_s=last_s,
        output_tokens=None if error else tokens,
        error=error,
        is_warm_up=is_warm_up,
    )


def step_result(
    records: Iterable[Record],
    *,
    of: Load | None = None,
    began_at: float = 1000.0,
    client: str | None = None,
    interrupted: str | None = None,
) -> StepResult:
    every = tuple(records)
    asked = of or load()
    measured = [one for one in every if not one.is_warm_up]
    succeeded = [one for one in measured if one.error is None]
    errors = Counter(str(one.error) for one in measured if one.error is not None)
    return StepResult(
        load=asked,
        targets=Targets(),
        began_at=began_at,
        took_s=asked.duration_s,
        records=every,
        figures=Figures(
            measured_s=asked.duration_s,
            requests=len(measured),
            succeeded=len(succeeded),
            offered_per_s=len(measured) / asked.duration_s,
            answered_per_s=len(succeeded) / asked.duration_s,
            input_tokens=0,
            output_tokens=sum(one.output_tokens or 0 for one in succeeded),
            output_tokens_per_s=sum(one.output_tokens or 0 for one in succeeded) / asked.duration_s,
            errors=dict(errors),
        ),
        client=ClientHealth(cpu=0.1, reason=client),
        interrupted=interrupted,
    )


def bench_run(
    run_id: str,
    *,
    deployment: str | None = "scout",
    profile: str | None = "embedded",
    image_digest: str | None = None,
    began_at: float = 1000.0,
    steps: tuple[Step, ...] = (),
    timeline: tuple[Sample, ...] = (),
) -> BenchRun:
    return BenchRun(
        id=run_id,
        began_at=began_at,
        took_s=1.0,
        version="0",
        machine="here",
        subject=Subject(url="http://127.0.0.1:1", deployment=deployment, profile=profile, image_digest=image_digest),
        targets=Targets(),
        seed=0,
        steps=steps or (Step(purpose="curve", starts_s=0.0, result=step_result([record(0)])),),
        timeline=timeline,
    )
