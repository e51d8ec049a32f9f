"""What kept starts teach a plan."""

from dataclasses import replace

import pytest

from fakes.measured_starts import GB, KV_TOKEN, NOON_S, SETTING, measured_start
from scout_deploy.fit.correction import NO_CORRECTION, Correction, correction_of
from scout_deploy.fit.measured_start import Measured, MeasuredStart, Setting

DAY_S = 86_400.0
MOST = 12 * GB


def other(**changes: object) -> Setting:
    return SETTING.model_copy(update=changes)


def learnt(*starts: MeasuredStart) -> Correction:
    return correction_of(SETTING, starts, most_bytes=MOST)


def tokens(count: int) -> int:
    return count * KV_TOKEN


def test_without_starts_nothing_is_corrected() -> None:
    assert learnt() == NO_CORRECTION


def test_one_start_is_believed() -> None:
    assert learnt(measured_start(tokens(1000))) == Correction(size=tokens(1000), starts=1, newest_s=NOON_S)


def test_what_takes_less_than_predicted_corrects_downwards() -> None:
    assert learnt(measured_start(-tokens(1000))).size == -tokens(1000)


def test_the_median_of_the_newest_five_counts() -> None:
    starts = [measured_start(tokens(1000 * day), at_s=NOON_S + day * DAY_S) for day in (6, 1, 5, 2, 4, 3)]

    assert learnt(*starts) == Correction(size=tokens(4000), starts=5, newest_s=NOON_S + 6 * DAY_S)


@pytest.mark.parametrize(
    "changes", [{"box": "another"}, {"device": "NVIDIA L4"}, {"shards": 2}, {"engine": "tgi:3.3.6"}]
)
def test_starts_on_other_boxes_gpus_and_engines_teach_nothing(changes: dict[str, object]) -> None:
    assert learnt(measured_start(tokens(1000), setting=other(**changes))) == NO_CORRECTION


def test_starts_of_the_same_settings_count_alone_then_those_of_the_model_then_any() -> None:
    same = measured_start(tokens(1))
    model = measured_start(tokens(2), setting=other(prefill_tokens=2048))
    any_model = measured_start(tokens(3), setting=other(model="another/model"))

    found = [learnt(same, model, any_model), learnt(model, any_model), learnt(any_model)]

    assert [(one.size, one.kin) for one in found] == [
        (tokens(1), "these settings"),
        (tokens(2), "this model"),
        (tokens(3), "other models"),
    ]


def test_a_later_commit_of_the_model_is_the_same_model() -> None:
    assert learnt(measured_start(tokens(1), setting=other(commit="0123abc"))).kin == "these settings"


def test_what_is_beyond_reason_is_ignored_and_said() -> None:
    absurd = measured_start(13 * GB)

    assert learnt(absurd) == Correction(ignored=1)
    assert learnt(absurd, measured_start(tokens(7))) == Correction(size=tokens(7), starts=1, newest_s=NOON_S, ignored=1)
    assert learnt(absurd).left_out == (
        "1 start measured on this box left out: too far from the arithmetic to be an error of it"
    )
    assert learnt().left_out is None


def test_a_start_whose_engine_said_no_figure_teaches_nothing() -> None:
    silent = measured_start(0).model_copy(update={"measured": Measured(used_bytes=(70 * GB,))})

    assert learnt(silent) == NO_CORRECTION


def test_a_correction_says_where_it_is_from() -> None:
    one = learnt(measured_start(tokens(1)))

    assert one.origin == "measured on this box on 2026-11-20, 1 start of these settings"
    assert replace(one, starts=3, kin="other models").origin.endswith("3 starts of other models")
