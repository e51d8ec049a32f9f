"""Starts held against what was predicted of them."""

import pytest

from fakes.measured_starts import GB, KV_TOKEN, PREDICTION, SETTING, measured_start
from scout_deploy.fit.measured_start import EmbeddedPrediction, Measured, MeasuredStart, Planned, read_planned

EMBEDDED = EmbeddedPrediction(process=60, weights=200, kv=30, cells=10, step=50)


def test_what_the_kv_cache_lacks_something_else_took() -> None:
    assert measured_start(1000 * KV_TOKEN).excess == 1000 * KV_TOKEN
    assert measured_start(-1000 * KV_TOKEN).excess == -1000 * KV_TOKEN


def test_a_correction_that_was_planned_with_is_part_of_what_was_learnt() -> None:
    """Else every second start would forget what the one before it taught."""
    corrected = PREDICTION.model_copy(update={"kv": PREDICTION.kv - GB, "correction": GB})
    tokens = (PREDICTION.kv - GB) // KV_TOKEN

    again = measured_start(0).model_copy(update={"predicted": corrected, "measured": Measured(kv_tokens=tokens)})

    assert again.excess == pytest.approx(GB, abs=KV_TOKEN)


def test_the_embedded_engine_is_measured_by_its_resident_memory() -> None:
    corrected = EMBEDDED.model_copy(update={"correction": 5})

    def excess(predicted: EmbeddedPrediction, resident: int | None) -> int | None:
        return MeasuredStart(
            at_s=1.0,
            instance="process 1",
            setting=SETTING,
            predicted=predicted,
            measured=Measured(resident_bytes=resident),
        ).excess

    assert [excess(EMBEDDED, 307), excess(corrected, 307), excess(EMBEDDED, None)] == [7, 7, None]


def test_after_the_start_memory_holds_all_but_the_prompts_step() -> None:
    started = 1_400_000_000 + 57 * GB + 300_000 * KV_TOKEN + 400_000_000

    assert (PREDICTION.started, PREDICTION.most) == (started, started + 2_400_000_000)
    assert (EMBEDDED.started, EMBEDDED.most) == (300, 350)


def test_a_correction_moves_memory_from_the_cache_and_adds_none() -> None:
    corrected = PREDICTION.model_copy(update={"kv": PREDICTION.kv - GB, "correction": GB})

    assert corrected.started == PREDICTION.started


def test_what_is_kept_with_an_engine_is_read_again() -> None:
    planned = Planned(setting=SETTING, prediction=PREDICTION)

    assert read_planned(planned.model_dump_json()) == planned


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"setting": {}, "prediction": {}}'])
def test_what_is_not_ours_is_nothing(text: str) -> None:
    assert read_planned(text) is None
