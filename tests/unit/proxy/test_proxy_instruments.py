"""The instruments show what prometheus_client's own show for the same changes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from scout_proxy.observation.instruments import Count, Instruments

BOUNDS = (0.01, 0.5, 1, 30)


def exposition(instruments: Instruments) -> bytes:
    registry = CollectorRegistry()
    registry.register(instruments)
    return generate_latest(registry)


def without_created(text: bytes) -> list[str]:
    return [line for line in text.decode().splitlines() if "_created" not in line]


@given(
    st.lists(st.tuples(st.sampled_from(["a", 'b"\n']), st.sampled_from([0.0, 0.01, 0.02, 0.5, 1.0, 7.5, 30.0, 31.0])))
)
def test_the_exposition_is_that_of_prometheus_client(changes: list[tuple[str, float]]) -> None:
    instruments, registry = Instruments(), CollectorRegistry()
    counts = instruments.counts("made", "Things made.", "kind")
    distributions = instruments.distributions("took_seconds", "How long it took.", "kind", bounds=BOUNDS)
    counter = Counter("made", "Things made.", ["kind"], registry=registry)
    histogram = Histogram("took_seconds", "How long it took.", ["kind"], buckets=BOUNDS, registry=registry)

    for kind, value in changes:
        counts.at(kind).value += value
        distributions.at(kind).observe(value)
        counter.labels(kind).inc(value)
        histogram.labels(kind).observe(value)

    assert exposition(instruments).decode().splitlines() == without_created(generate_latest(registry))


def test_a_reading_is_taken_whenever_it_is_asked_for() -> None:
    instruments, registry = Instruments(), CollectorRegistry()
    level = Count()
    instruments.read_gauge("level", "A level.", read=lambda: level.value)
    gauge = Gauge("level", "A level.", registry=registry)

    level.value += 3
    gauge.set(3)

    assert exposition(instruments) == generate_latest(registry)


def test_readings_can_have_labels_and_can_be_counters() -> None:
    instruments = Instruments()
    instruments.read_counter("seen", "Seen.", "who", read=lambda: {("a",): 1, ("b",): 2})

    assert exposition(instruments).decode().splitlines()[2:] == ['seen_total{who="a"} 1.0', 'seen_total{who="b"} 2.0']


def test_a_handle_is_the_same_each_time_and_its_series_can_be_forgotten() -> None:
    instruments = Instruments()
    counts = instruments.counts("made", "Things made.", "where", "kind")
    handle = counts.at("here", "x")
    counts.at("there", "x").value += 1

    assert counts.at("here", "x") is handle

    counts.forget("where", {"here"})

    assert exposition(instruments).decode().splitlines()[2:] == ['made_total{kind="x",where="there"} 1.0']


def test_labels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"made has the labels \('kind',\), got \(\)"):
        Instruments().counts("made", "Things made.", "kind").at()
