"""The report: what it says first, what it draws, and that nothing in a run can break it."""

import re
from functools import cache

import pytest

from fakes.bench_runs import SUBJECT, TARGETS, PlayedServer, load, played_run
from fakes.html_outline import Outline
from scout_loadtest.bench_run import BenchRun, Sample
from scout_loadtest.comparison import compare
from scout_loadtest.figures import Targets
from scout_loadtest.record import ErrorKind
from scout_loadtest.report.axis import linear_axis, log_axis, time_axis
from scout_loadtest.report.histogram import binned
from scout_loadtest.report.html import report_html
from scout_loadtest.report.markup import Markup, element
from scout_loadtest.report.moments import tokens_per_s
from scout_loadtest.report.plot import Tag, rows_apart
from scout_loadtest.report.text import aligned, comparison_table, summary
from scout_loadtest.report.units import clock, milliseconds, number, share
from scout_loadtest.report.verdict import Tone, verdict_of
from scout_loadtest.step import ClientHealth

EVIL = "<script>alert('x')</script> & \"more\""


@cache
def searched() -> BenchRun:
    curve = [("curve", load(users=users, duration_s=8)) for users in (1, 4, 32)]
    search = [("search", load(rate=rate, duration_s=7)) for rate in (2, 8, 20)]
    return played_run([*curve, *search], PlayedServer())


@cache
def engine_died() -> BenchRun:
    return played_run([("curve", load(users=4, duration_s=60))], PlayedServer(outage=(22, 40)))


@cache
def unreachable() -> BenchRun:
    return played_run([("curve", load(users=2, duration_s=5))], PlayedServer(outage=(0, 99)))


def without_streams() -> BenchRun:
    loads = [("curve", load(users=users, duration_s=5)) for users in (1, 2)]
    return played_run(loads, PlayedServer(streams=False), targets=Targets())


def nothing() -> BenchRun:
    return searched().model_copy(update={"steps": (), "timeline": (), "interrupted": "Ctrl-C"})


def saturated() -> BenchRun:
    run = engine_died()
    step = run.steps[0]
    client = ClientHealth(cpu=0.99, late_p99_ms=80, reason="it used 99 % of a processor")
    result = step.result.model_copy(update={"client": client})
    return run.model_copy(update={"steps": (step.model_copy(update={"result": result}),)})


def away_at(second: int) -> BenchRun:
    run = searched()
    away = run.timeline[second].model_copy(update={"is_answering": False})
    return run.model_copy(update={"timeline": (*run.timeline[:second], away, *run.timeline[second + 1 :])})


def evil() -> BenchRun:
    server = PlayedServer(mishap=lambda random: (ErrorKind.SERVER, EVIL) if random.random() < 0.3 else None)
    run = played_run([("curve", load(users=2, duration_s=5))], server)
    subject = SUBJECT.model_copy(
        update={"model": EVIL, "deployment": EVIL, "profile": EVIL, "url": EVIL, "engine": EVIL}
    )
    return run.model_copy(update={"subject": subject, "machine": EVIL, "interrupted": EVIL, "id": EVIL})


RUNS = (searched, engine_died, unreachable, without_streams, nothing, saturated, evil)


def test_the_highest_rate_that_held_is_said_first() -> None:
    verdict = verdict_of(searched())

    assert verdict.sentence == "Up to 8 requests/s held TTFT p99 ≤ 500 ms and TPOT p99 ≤ 50 ms; 20/s did not."
    assert (verdict.tone, verdict.warnings) == (Tone.GOOD, ())


def test_an_engine_that_died_is_said_with_when_and_what_was_lost() -> None:
    run = engine_died()
    verdict = verdict_of(run)
    errors = run.steps[0].result.figures.errors

    lost = sum(errors.values())
    assert verdict.tone is Tone.BAD
    assert verdict.sentence.startswith(f"The engine was gone from 0:22 to 0:40 (18 s): {lost} requests were lost (")
    assert f"{errors['connection refused']} connection refused" in verdict.sentence
    assert f"{errors['stream cut off']} stream cut off" in verdict.sentence


def test_an_absence_that_nobody_watched_is_told_by_the_requests() -> None:
    run = engine_died().model_copy(update={"timeline": ()})

    assert verdict_of(run).sentence.startswith("The engine was gone from 0:22 to 0:40 (")


def test_an_absence_between_two_looks_is_told_by_the_requests_whatever_the_cache_answers() -> None:
    server = PlayedServer(outage=(12.1, 12.8), slots=16)
    run = played_run([("curve", load(users=6, duration_s=20))], server)

    assert all(sample.engines_serving == 1 for sample in run.timeline)
    assert verdict_of(run).sentence.startswith("The engine was gone from 0:12 to 0:1")
    assert "connection refused" in verdict_of(run).sentence


def test_failures_here_and_there_are_no_absence() -> None:
    server = PlayedServer(mishap=lambda random: (ErrorKind.BROKEN, "reset") if random.random() < 0.05 else None)
    run = played_run([("curve", load(users=4, duration_s=10))], server).model_copy(update={"timeline": ()})

    assert re.match(r"It carried up to .*, \d+ requests? failed\.", verdict_of(run).sentence)


def test_an_absence_that_cost_nothing_is_told_and_decides_nothing() -> None:
    between_steps, in_one = away_at(15), away_at(20)

    assert verdict_of(between_steps).tone is verdict_of(in_one).tone is Tone.GOOD
    assert verdict_of(between_steps).warnings == (
        "The proxy did not answer from 0:15 to 0:16; no request was lost by it.",
    )
    # Who answers what was in flight then was there.
    assert verdict_of(in_one).warnings == ()
    assert "no proxy" not in report_html(in_one)


def test_an_api_that_never_says_how_it_is_and_answers_was_there() -> None:
    server = PlayedServer(mishap=lambda random: (ErrorKind.SERVER, "no") if random.random() < 0.05 else None)
    run = played_run([("curve", load(users=4, duration_s=10))], server)
    mute = tuple(Sample(at_s=sample.at_s, is_answering=False) for sample in run.timeline)

    assert re.match(
        r"It carried up to .*, \d+ requests? failed\.", verdict_of(run.model_copy(update={"timeline": mute})).sentence
    )


def test_an_engine_that_never_came_back() -> None:
    run = played_run([("curve", load(users=2, duration_s=20))], PlayedServer(outage=(12, 999)))

    assert "The server was unreachable from 0:12 and did not come back: " in verdict_of(run).sentence


def test_a_server_that_was_never_there() -> None:
    assert re.fullmatch(
        r"Nothing was answered: all \d+ requests failed \(\d+ connection refused\)\.",
        verdict_of(unreachable()).sentence,
    )


def test_no_rate_held() -> None:
    run = played_run([("search", load(rate=3, duration_s=5))], PlayedServer(ttft_ms=900))

    assert re.match(
        r"No rate that was tried held TTFT p99 ≤ 500 ms and TPOT p99 ≤ 50 ms; the lowest, 3/s, missed it: TTFT p99 \d+",
        verdict_of(run).sentence,
    )


def test_what_a_short_run_could_not_see_is_said() -> None:
    run = played_run([("search", load(rate=3, duration_s=5))], PlayedServer(ttft_ms=900))
    missed = run.model_copy(update={"least_rate": 2.8})
    step = run.steps[0].model_copy(update={"holds": None, "because": "9 requests are too few to judge by, 50 are not"})
    unclear = run.model_copy(update={"steps": (step,), "lowest_failed_rate": None, "least_rate": 2.8})

    assert verdict_of(missed).warnings == (
        "No rate below 3/s was tried; a run as short as this can judge none below 2.8/s.",
    )
    assert verdict_of(unclear).sentence == (
        "No rate could be judged, neither that it holds the service level nor that it does not."
    )


def test_nothing_was_measured() -> None:
    assert verdict_of(nothing()).sentence == "Nothing was measured: no request was due in the measured time."
    assert "ended before its time (Ctrl-C)" in verdict_of(nothing()).warnings[0]


def test_a_saturated_client_is_warned_of_loudly() -> None:
    outline = Outline(report_html(saturated()))

    assert {"class": "warning", "role": "alert"} in outline.tags("p")
    assert "The load test itself was saturated in 1 step" in outline.text
    assert "say nothing of the server: 4 users, it used 99 % of a processor." in outline.text


@pytest.mark.parametrize("run", RUNS)
def test_every_run_gives_a_whole_page_that_needs_nothing_else(run: object) -> None:
    assert callable(run)
    html = report_html(run())
    outline = Outline(html)

    assert len(outline.tags("h1")) == 1
    assert outline.tags("script") == outline.tags("link") == outline.tags("img") == []
    assert not any({"src", "href"} & attributes.keys() for _, attributes in outline.elements)
    assert "url(" not in html
    assert "nan" not in html.lower().replace("nano", "")
    assert not re.search(r"[^a-z]inf[^a-z]", html)


def test_what_a_server_said_is_text_and_never_markup() -> None:
    outline = Outline(report_html(evil()))

    assert outline.tags("script") == []
    assert outline.text.count("<script>alert('x')</script>") >= 6


def test_the_sections_of_a_full_run() -> None:
    outline = Outline(report_html(searched()))

    for title in (
        "Key figures",
        "Search for the highest rate",
        "Latency against throughput",
        "Latency distribution",
        "The run over time",
        "Steps",
        "What was measured",
    ):
        assert title in outline.text
    assert "8/s missed at 20/s" in outline.text
    assert SUBJECT.model is not None
    assert SUBJECT.model in outline.text
    assert "2026-11-25 09:46 UTC" in outline.text
    assert "The other 5 steps" in outline.text


def test_what_is_not_there_is_not_drawn() -> None:
    text = Outline(report_html(without_streams())).text

    assert "Time to first token" not in text
    assert "End to end" in text
    assert "target" not in text.lower()
    assert "What failed" not in text


def test_the_time_without_a_server_is_shaded() -> None:
    outline = Outline(report_html(engine_died()))

    shaded = [attributes["class"] for attributes in outline.tags("rect") if "gap" in (attributes["class"] or "")]
    # The legend's two, and each of both on the wide and on the narrow time line.
    assert sorted(filter(None, shaded)) == ["gap engine-gap"] * 3 + ["gap proxy-gap"] * 3
    assert "no engine from 0:31 to 0:40" in outline.text


def test_the_file_does_not_grow_with_the_requests() -> None:
    few = len(report_html(played_run([("curve", load(users=4, duration_s=30))], PlayedServer())))
    many = len(report_html(played_run([("curve", load(users=32, duration_s=30))], PlayedServer(slots=32))))

    assert many < 1.3 * few
    assert few < 60_000


def test_the_terminal_has_a_row_for_each_step() -> None:
    said = summary(searched())

    assert [row[0] for row in said.rows][:4] == ["1 user", "4 users", "32 users", "2/s Poisson"]
    assert said.marks == ("", "", "", "held", "held", "missed")
    assert {len(row) for row in said.rows} == {len(said.columns)}
    lines = aligned(said.columns, said.rows)
    assert lines[0].startswith("step")
    assert lines[0].endswith("errors")
    assert len({len(line) for line in lines}) == 1


def test_the_terminal_shows_end_to_end_where_nothing_was_streamed() -> None:
    assert "end to end p99 ms" in summary(without_streams()).columns
    assert "TTFT p99 ms" not in summary(without_streams()).columns


def test_the_terminal_shows_a_comparison_with_its_interval() -> None:
    a, b = ([searched().model_copy(update={"id": f"{side}{at}"}) for at in range(2)] for side in "ab")
    table = comparison_table(compare(a, b))

    assert table.verdict == "B beside A: no difference seen (2 and 2 runs, 95% confidence)."
    row = next(row for row in table.rows if row[:2] == ("4 users", "TTFT p50 (ms)"))
    assert row[4:] == ("0 (+0.0%)", "0 to 0", "no difference seen")
    assert set(table.findings) == {"no difference seen"}
    assert "Benjamini" in table.notes[-1]


def test_elements_escape_text_and_attributes() -> None:
    assert element("p", "<b>", Markup("<i></i>"), class_='"', data_x=None, width=2.5) == (
        '<p class="&quot;" width="2.5">&lt;b&gt;<i></i></p>'
    )
    assert element("p", Markup("<i>") + "<b>") == "<p>&lt;i&gt;&lt;b&gt;</p>"


@pytest.mark.parametrize(
    ("high", "labels"),
    [
        (0.0, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (9.3, ["0", "2", "4", "6", "8", "10"]),
        (0.031, ["0.00", "0.01", "0.02", "0.03", "0.04"]),
        (23_000, ["0", "5,000", "10,000", "15,000", "20,000", "25,000"]),
    ],
)
def test_ticks_are_round(high: float, labels: list[str]) -> None:
    axis = linear_axis(high, 100, 0)

    shown = [axis.label(tick) for tick in axis.ticks]
    assert shown == labels or high == 0.0
    assert axis.at(0) == 100
    assert axis.at(axis.high) == 0
    assert axis.high >= high


def test_logarithmic_ticks_are_round_and_hold_all_values() -> None:
    axis = log_axis(37, 2400, 0, 300)

    assert [axis.label(tick) for tick in axis.ticks] == ["20", "50", "100", "200", "500", "1,000", "2,000", "5,000"][
        -7:
    ] or ([axis.label(tick) for tick in axis.ticks] == ["30", "100", "300", "1,000", "3,000"])
    assert axis.at(axis.low) == 0
    assert axis.at(100) - axis.at(50) == pytest.approx(axis.at(2000) - axis.at(1000))
    assert log_axis(5, 5, 0, 10).low < log_axis(5, 5, 0, 10).high


def test_a_time_axis_ends_with_the_run() -> None:
    axis = time_axis(95, 0, 950, most=6)

    assert [clock(tick) for tick in axis.ticks] == ["0:00", "0:30", "1:00", "1:30"]
    assert axis.at(95) == 950


def test_labels_lie_neither_on_each_other_nor_on_a_line_that_can_be_avoided() -> None:
    low, high = (Tag(x=x, text="p99 5.70 ms", class_=name, is_left=True) for x, name in ((300, "p50"), (330, "p99")))
    apart = Tag(x=20, text="p50 1 ms", class_="p50", is_left=False)

    # The line of p50 begins below the label that reaches over it.
    assert dict(rows_apart([low, high])) == {high: 0, low: 1}
    assert dict(rows_apart([apart, high])) == {apart: 0, high: 0}


def test_bins_count_every_value_once() -> None:
    even, wide, one = (
        binned([float(value) for value in range(10, 100)]),
        binned([1.0, 10.0, 5000.0]),
        binned([7.0, 7.0]),
    )

    assert (sum(even.counts), even.is_log) == (90, False)
    assert (sum(wide.counts), wide.is_log) == (3, True)
    assert sum(one.counts) == 2
    assert one.edges[0] < 7 < one.edges[-1]


def test_an_engine_s_counter_that_begins_again_is_no_negative_rate() -> None:
    totals = [0.0, 100.0, 200.0, 5.0, 105.0]
    samples = [Sample(at_s=at, is_answering=True, output_tokens_total=total) for at, total in enumerate(totals)]

    assert tokens_per_s(samples, 1.0) == [(0.5, 100.0), (1.5, 100.0), (3.5, 100.0)]


def test_numbers_have_the_digits_they_are_good_for() -> None:
    assert [number(value) for value in (0.1234, 1.234, 12.34, 1234.5, 0.0, None)] == [
        "0.123",
        "1.23",
        "12.3",
        "1,234",
        "0",
        "–",
    ]
    assert [share(value).replace("\u202f", " ") for value in (0.0, 0.0001, 0.5, 0.9999, 1.0)] == [
        "0 %",
        "<0.1 %",
        "50 %",
        ">99.9 %",
        "100 %",
    ]
    assert [milliseconds(value).replace("\u202f", " ") for value in (3.456, 812.0, 34_560.0)] == [
        "3.46 ms",
        "812 ms",
        "34.6 s",
    ]
    assert [clock(value) for value in (5, 65, 3725)] == ["0:05", "1:05", "1:02:05"]


def test_key_figures_are_of_the_percentile_that_was_asked_for() -> None:
    run = engine_died().model_copy(update={"percentile": 95.0})
    spread = run.steps[0].result.figures.ttft_ms

    assert spread is not None
    # The parser takes the narrow space before a unit for any other.
    shown = milliseconds(spread.p95).replace("\u202f", " ")
    assert f"TTFT p95 {shown} p50" in Outline(report_html(run)).text


def test_targets_are_named_in_the_facts() -> None:
    assert TARGETS.ttft_ms == 500
    assert "TTFT p99 ≤ 500 ms and TPOT p99 ≤ 50 ms" in Outline(report_html(engine_died())).text
    both = engine_died().model_copy(update={"goodput_target": 0.98})
    assert "TPOT p99 ≤ 50 ms and goodput ≥ 98 %" in Outline(report_html(both)).text
