"""Counts in constant memory, which workers send to their master, and the table that is made of them."""

import math

import msgpack
import pytest

from scout_loadtest.figures import Targets
from scout_loadtest.load.sketch import Sketch
from scout_loadtest.load.summary import summary_lines
from scout_loadtest.load.tally import Tally
from scout_loadtest.record import ErrorKind, Record
from scout_loadtest.spread import percentile


def record(index: int, **changes: object) -> Record:
    times = {"due_s": 1.0, "sent_s": 1.0, "first_token_s": 1.2, "last_token_s": 2.2, "ended_s": 2.25}
    counted = {"output_tokens": 11, "input_tokens": 5, "gaps_ms": (100.0,) * 10, "cache": "MISS", "queued_ms": 0.0}
    return Record.model_validate({"index": index, "kind": "chat", "status": 200} | times | counted | changes)


def test_percentiles_of_a_sketch_are_within_one_per_cent_of_the_exact_ones() -> None:
    values = [math.exp(4 + 1.5 * math.tan(place / 4000)) for place in range(-5000, 5000, 2)]
    halves = Sketch(), Sketch()
    for place, value in enumerate(values):
        halves[place % 2].add(value)
    halves[0].merge(halves[1].pairs())

    for percent in (1, 50, 90, 99, 100):
        assert halves[0].percentile(percent) == pytest.approx(percentile(sorted(values), percent), rel=0.0101)


def test_a_sketch_takes_nothing_and_none() -> None:
    sketch = Sketch()

    assert sketch.percentile(99) is None
    sketch.add(0.0)
    assert math.isclose(sketch.percentile(99) or 0, 0, abs_tol=0.0011)


def test_what_workers_send_adds_up() -> None:
    master, one, other = Tally(), Tally(), Tally()
    targets = Targets(ttft_ms=250)
    one.add(record(0), targets)
    one.add(record(1, error=ErrorKind.TIMEOUT), targets)
    other.add(record(2, cache="HIT", output_tokens=None), targets)
    for worker in (one, other):
        # As Locust sends it.
        master.merge(msgpack.unpackb(msgpack.packb(worker.message()), strict_map_key=False))

    assert dict(master.counts) == {
        "requests": 3,
        "succeeded": 2,
        "input_tokens": 10,
        "output_tokens": 11,
        "uncounted": 1,
        "said_cache": 2,
        "hits": 1,
        "judged": 3,
        "good": 2,
    }
    assert master.errors == {"timeout": 1}
    assert master.sketches["ttft_ms"].percentile(50) == pytest.approx(200, rel=0.011)


def test_the_table_says_what_plain_locust_does_not() -> None:
    tally = Tally()
    tally.add(record(0))
    tally.add(record(1, error=ErrorKind.TIMEOUT))
    lines = summary_lines({"chat": tally}, elapsed_s=10, cpu=0.2)

    assert [line.split() for line in lines if line.startswith(("chat", "all"))] == [
        [kind, "2", "1", "199.8", "199.8", "99.9", "99.9", "99.9", "1260", "1260", "0.0", "8.7", "1.1", "0%", "-"]
        for kind in ("chat", "all")
    ]
    assert lines[-1] == "failed: 1 x timeout"


@pytest.mark.parametrize(
    ("targets", "goodput"),
    [(Targets(ttft_ms=250, tpot_ms=150), "66.7%"), (Targets(ttft_ms=250, tpot_ms=50), "0.0%"), (Targets(), "-")],
)
def test_goodput_is_the_share_of_all_requests_that_are_within_the_targets(targets: Targets, goodput: str) -> None:
    tally = Tally()
    for index in range(3):
        tally.add(record(index, error=ErrorKind.TIMEOUT if index == 1 else None), targets)

    (row,) = [line for line in summary_lines({"chat": tally}, elapsed_s=10, cpu=0.2) if line.startswith("chat")]
    assert row.split()[-1] == goodput


def test_a_client_that_was_too_slow_is_told() -> None:
    tally = Tally()
    tally.add(record(0, sent_s=1.1))

    assert "warning: this client was too slow" in summary_lines({"chat": tally}, elapsed_s=1, cpu=0.2)[-1]
