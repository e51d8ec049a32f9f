"""Benchmarks as a real server would have given them, made from a seed: no server, no time."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random

from scout_loadtest.bench_run import BenchRun, Sample, Step, Subject
from scout_loadtest.figures import Targets
from scout_loadtest.figures_of import figures_of
from scout_loadtest.record import ErrorKind, Record
from scout_loadtest.step import Arrival, ClientHealth, Load, StepResult

BEGAN_AT = 1_795_600_000.0
TARGETS = Targets(ttft_ms=500, tpot_ms=50)
SUBJECT = Subject(
    url="http://127.0.0.1:2025",
    deployment="scout",
    profile="a100-4bit",
    model="meta-llama/Llama-4-Scout-17B-16E-Instruct",
    engine="tgi 3.3.5",
    image_digest="sha256:9f2c41d86f0c" + "0" * 52,
)


@dataclass(frozen=True, kw_only=True)
class PlayedServer:
    """What the played server is like.

    Args:
        slots: How many answers it gives at once; more wait.
        outage: From when to when (seconds since the run began) it is gone.
        mishap: Of a request: the error it ends with, or None.
    """

    ttft_ms: float = 60.0
    tpot_ms: float = 12.0
    slots: int = 16
    outage: tuple[float, float] | None = None
    mishap: Callable[[Random], tuple[ErrorKind, str] | None] = field(default=lambda _: None)
    streams: bool = True


def load(users: int | None = None, rate: float | None = None, duration_s: float = 30.0, seed: int = 7) -> Load:
    arrival = Arrival.CLOSED if users else Arrival.POISSON
    return Load(
        arrival=arrival,
        users=users,
        rate=rate,
        duration_s=duration_s,
        warm_up_s=3.0,
        seed=seed,
        mix={"unique": 4, "repeated": 3, "chat": 2, "long_prompt": 1},
    )


def played_step(
    played: Load, server: PlayedServer, *, starts_s: float = 0.0, targets: Targets = TARGETS, seed: int = 0
) -> StepResult:
    """The records of one load: requests take a slot of the server in the order in which they are due."""
    random = Random(f"{seed} {played.seed} {played.users} {played.rate} {starts_s}")  # noqa: S311 - the same in every run
    records = sorted(_records(played, server, starts_s, random), key=lambda record: record.due_s)
    records = [record.model_copy(update={"index": index}) for index, record in enumerate(records)]
    return StepResult(
        load=played,
        targets=targets,
        began_at=BEGAN_AT + starts_s,
        took_s=played.warm_up_s + played.duration_s + 1.0,
        records=tuple(records),
        figures=figures_of(records, load=played, targets=targets),
        client=ClientHealth(cpu=0.11, late_p99_ms=None if played.users else 1.2),
    )


def _records(played: Load, server: PlayedServer, starts_s: float, random: Random) -> Iterator[Record]:
    free = [0.0] * server.slots
    until = played.warm_up_s + played.duration_s
    if played.users:
        ready = [0.01 * user for user in range(played.users)]
        while (due := min(ready)) < until:
            record = _record(due, free, server, starts_s=starts_s, random=random, warm_up_s=played.warm_up_s)
            # A person whose connection is refused tries again after a moment.
            ready[ready.index(due)] = record.ended_s + (0.4 if record.error else 0.0)
            yield record
        return
    due = 0.0
    while (due := due + random.expovariate(played.rate or 1.0)) < until:
        yield _record(due, free, server, starts_s=starts_s, random=random, warm_up_s=played.warm_up_s)


def _record(
    due: float, free: list[float], server: PlayedServer, *, starts_s: float, random: Random, warm_up_s: float
) -> Record:
    base = {
        "index": 0,
        "kind": random.choice(["unique", "repeated", "chat"]),
        "due_s": due,
        "is_warm_up": due < warm_up_s,
    }
    sent = due + 0.0005
    gone = server.outage and (server.outage[0] - starts_s, server.outage[1] - starts_s)
    if gone and gone[0] <= due < gone[1]:
        error = {"error": ErrorKind.REFUSED, "error_text": "[Errno 111] Connection refused"}
        return Record.model_validate({**base, **error, "sent_s": sent, "ended_s": sent + 0.002})
    begins = max(sent, min(free))
    crowd = sum(until > begins for until in free)
    first = begins + server.ttft_ms / 1000 * (1 + crowd / server.slots) * random.lognormvariate(0, 0.25)
    tokens = min(256, max(2, round(random.lognormvariate(3.8, 0.7))))
    pace = server.tpot_ms / 1000 * (1 + crowd / server.slots) * random.lognormvariate(0, 0.06)
    last = first + (tokens - 1) * pace
    ended = last + 0.001
    mishap = server.mishap(random)
    if gone and begins < gone[0] < ended:
        mishap, ended = (ErrorKind.CUT_OFF, "the stream ended without its end"), gone[0]
    free[free.index(min(free))] = ended
    if mishap:
        return Record.model_validate(
            {**base, "sent_s": sent, "ended_s": ended, "error": mishap[0], "error_text": mishap[1], "status": 200}
        )
    answer = {
        "status": 200,
        "input_tokens": round(random.lognormvariate(5, 0.8)),
        "output_tokens": tokens,
        "tokens_counted_by": "server",
    }
    times = (
        {"first_token_s": first, "last_token_s": last, "gaps_ms": (pace * 900, pace * 1100)} if server.streams else {}
    )
    return Record.model_validate(
        {
            **base,
            **answer,
            **times,
            "sent_s": sent,
            "ended_s": ended,
            "queued_ms": (begins - sent) * 1000,
            "cache": "HIT" if random.random() < 0.1 else "MISS",
        }
    )


def played_run(
    loads: Sequence[tuple[str, Load]],
    server: PlayedServer,
    *,
    id: str = "20261127-101500-3f2a",
    seed: int = 0,
    targets: Targets = TARGETS,
    pause_s: float = 2.0,
) -> BenchRun:
    """A run of these loads (each with its purpose), one after the other."""
    steps: list[Step] = []
    at = 3.0
    for purpose, each in loads:
        result = played_step(each, server, starts_s=at, targets=targets, seed=seed)
        steps.append(_judged(Step(purpose=purpose, starts_s=at, result=result)))
        at += each.warm_up_s + each.duration_s + pause_s
    tried = [(step.result.load.rate or 0.0, step.holds) for step in steps if step.purpose == "search"]
    return BenchRun(
        id=id,
        began_at=BEGAN_AT,
        took_s=at,
        version="0.9.0",
        machine="2 x Intel Xeon Platinum 8481C, 8 GB, Linux 6.1",
        subject=SUBJECT,
        targets=targets,
        seed=7,
        steps=tuple(steps),
        timeline=tuple(_samples(steps, server, at)),
        highest_rate=max((rate for rate, holds in tried if holds), default=None),
        lowest_failed_rate=min((rate for rate, holds in tried if holds is False), default=None),
    )


def _judged(step: Step) -> Step:
    figures, targets = step.result.figures, step.result.targets
    if step.purpose == "curve":
        return step
    missed = [
        f"{name} p99 {measured.p99:.0f} ms is above {bound:g} ms"
        for name, measured, bound in (
            ("TTFT", figures.ttft_ms, targets.ttft_ms),
            ("TPOT", figures.tpot_ms, targets.tpot_ms),
        )
        if measured and bound and measured.p99 > bound
    ]
    if figures.errors:
        missed.append(f"{sum(figures.errors.values())} of {figures.requests} requests failed")
    return step.model_copy(update={"holds": not missed, "because": "; ".join(missed) or None})


def _samples(steps: Sequence[Step], server: PlayedServer, until: float) -> Iterator[Sample]:
    spans = sorted(
        (step.starts_s + record.sent_s, step.starts_s + record.ended_s, record.output_tokens or 0)
        for step in steps
        for record in step.result.records
        if record.error is not ErrorKind.REFUSED
    )
    for at in range(round(until)):
        if server.outage and server.outage[0] <= at < server.outage[1]:
            # The proxy itself is away in the first half, and its engine in all of it.
            middle = sum(server.outage) / 2
            answers = at >= middle
            yield Sample(at_s=at, is_answering=answers, engines_serving=0 if answers else None)
            continue
        inside = sum(begins <= at < ends for begins, ends, _ in spans)
        yield Sample(
            at_s=at,
            is_answering=True,
            engines_serving=1,
            in_flight=min(inside, server.slots),
            waiting=max(0, inside - server.slots),
            output_tokens_total=float(sum(tokens for _, ends, tokens in spans if ends <= at)),
            requests_total=float(sum(ends <= at for _, ends, _ in spans)),
        )
