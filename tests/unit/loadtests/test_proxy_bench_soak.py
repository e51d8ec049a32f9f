"""What a soak's findings come to."""

from collections import Counter

import pytest

from proxy_bench.soak.findings import Findings, Rest, Sample, judge

CALM = Rest(descriptors_before=15, descriptors_after=16, proxy_in_flight=0, engine_in_flight=0)


def sample(at_s: float, rss_mb: float) -> Sample:
    return Sample(at_s=at_s, rss_bytes=round(rss_mb * 1e6), descriptors=80, proxy_in_flight=3, engine_in_flight=3)


def outcome(findings: Findings, rest: Rest = CALM) -> dict[str, bool | None]:
    return {verdict.what: verdict.is_met for verdict in judge(findings, rest)}


def test_a_clean_soak_meets_every_goal() -> None:
    # It grows while the cache fills, and then no more.
    samples = [sample(60 * at, min(100.0, 60.0 + 10 * at)) for at in range(20)]

    assert set(outcome(Findings(answers=Counter(hits=9), samples=samples)).values()) == {True}


def test_memory_that_goes_on_growing_is_a_leak() -> None:
    findings = Findings(answers=Counter(hits=9), samples=[sample(60 * at, 60.0 + at) for at in range(20)])

    assert outcome(findings)["memory"] is False


@pytest.mark.parametrize("samples", [[], [sample(at, 60.0 + at) for at in range(20)]])
def test_a_short_soak_says_nothing_of_memory(samples: list[Sample]) -> None:
    assert outcome(Findings(answers=Counter(hits=9), samples=samples))["memory"] is None


def test_errors_are_counted_by_cause_with_one_example_of_each() -> None:
    findings = Findings(answers=Counter(hits=9))
    for detail in ("first", "second"):
        findings.fail("hits", "status 500 instead of 200", detail)
    findings.fail("streams", "TimeoutError", "")

    assert outcome(findings)["errors"] is False
    assert findings.errors["hits: status 500 instead of 200"] == 2
    assert findings.examples == ["hits: status 500 instead of 200: first", "streams: TimeoutError: "]


def test_nothing_answered_is_not_clean() -> None:
    assert outcome(Findings())["errors"] is False


def test_what_is_left_over_is_a_leak() -> None:
    left = Rest(descriptors_before=15, descriptors_after=40, proxy_in_flight=1, engine_in_flight=0)

    found = outcome(Findings(answers=Counter(hits=9)), left)

    assert found["open files and sockets, after"] is False
    assert found["requests in flight, after"] is False
