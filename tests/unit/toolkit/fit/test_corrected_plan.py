"""Plans on a box that engines were started on before."""

from dataclasses import replace

import pytest

from fakes.measured_starts import GB, H100, KV_TOKEN, measured_start
from fakes.recorded_models import SCOUT, recorded
from fakes.tgi_requests import shipped_profile
from scout_deploy.engines.catalogue import planning_engine_for
from scout_deploy.fit.gpu_kind import PlanGpu, read_gpus
from scout_deploy.fit.measured_start import Measured, MeasuredStart, Setting
from scout_deploy.fit.verdict import Verdict
from scout_deploy.fit_plan import FitPlan, Planner

GPU = PlanGpu(name=H100, total_bytes=84_900_000_000, compute_capability="9.0")
BOX = "gpu-box"


def planner(*starts: MeasuredStart, context: int | None = None) -> Planner:
    return Planner(
        profile=shipped_profile("h100-bf16"),
        model=recorded(SCOUT),
        adapter=planning_engine_for("tgi"),
        context=context,
        box=BOX,
        starts=starts,
    )


def verdict(plan: FitPlan) -> Verdict:
    assert plan.verdict is not None, plan.reason
    return plan.verdict


def setting() -> Setting:
    found = planner().on((GPU,) * 4).setting
    assert found is not None
    return found


def start(excess: int) -> MeasuredStart:
    return measured_start(excess, setting=setting())


def test_a_plan_says_what_it_is_of_for_whoever_measures_it() -> None:
    assert setting() == Setting(
        box=BOX,
        device=H100,
        shards=4,
        engine="ghcr.io/huggingface/text-generation-inference:3.3.7",
        model=SCOUT,
        prefill_tokens=4096,
        context=8192,
    )


def test_what_a_start_took_more_the_next_plan_has_less_for_its_cache() -> None:
    plain = verdict(planner().on((GPU,) * 4))
    corrected = verdict(planner(start(20_000 * KV_TOKEN)).on((GPU,) * 4))

    assert corrected.ledger == replace(
        plain.ledger, kv=plain.ledger.kv - 20_000 * KV_TOKEN, correction=corrected.ledger.correction
    )
    assert corrected.kv_tokens == plain.kv_tokens - 20_000
    assert corrected.ledger.correction.starts == 1


def seen(plan: FitPlan, tokens: int, at_s: float) -> MeasuredStart:
    assert plan.planned is not None
    return MeasuredStart(
        at_s=at_s,
        instance=f"container of {at_s}",
        setting=plan.planned.setting,
        predicted=plan.planned.prediction,
        measured=Measured(kv_tokens=tokens),
    )


def test_a_plan_that_was_corrected_by_a_start_predicts_that_start() -> None:
    first = seen(planner().on((GPU,) * 4), 250_000, at_s=1.0)
    second_plan = planner(first).on((GPU,) * 4)
    second = seen(second_plan, 250_000, at_s=2.0)

    assert verdict(second_plan).kv_tokens == 250_000
    # Held against a plan that knew, a start just like the first one teaches the same again.
    assert planner(first, second).on((GPU,) * 4).correction.size == second_plan.correction.size


def test_the_verdict_is_the_corrected_one() -> None:
    answers = [
        planner(*starts).on((GPU,) * 4).answer
        for starts in ((), (start(12 * GB),), (start(12_700_000_000),), (start(-3 * GB),))
    ]
    crowded = PlanGpu(name=H100, total_bytes=84_900_000_000, held_bytes=12 * GB, compute_capability="9.0")
    refused = planner(start(4 * GB)).on((crowded,) * 4)

    assert answers == ["fits", "fits", "tight", "fits"]
    assert planner().on((crowded,) * 4).works
    assert (refused.answer, "of KV cache" in refused.reason) == ("no", True)


def test_a_refusal_says_what_was_measured() -> None:
    two = setting().model_copy(update={"shards": 2})

    refused = planner(measured_start(5 * GB, setting=two)).on((GPU,) * 2)

    assert "CUDA and its libraries 1.4 GB, and 5.0 GB more as measured on this box;" in refused.reason
    assert verdict(refused).missing == verdict(planner().on((GPU,) * 2)).missing + 5 * GB // KV_TOKEN * KV_TOKEN


def test_other_gpus_are_planned_by_the_arithmetic_alone() -> None:
    known = planner(start(5 * GB))

    assert verdict(known.on(read_gpus("4xH100-80GB"))) == verdict(planner().on(read_gpus("4xH100-80GB")))
    assert known.on((GPU,) * 8).correction.starts == 0


def test_a_start_beyond_reason_leaves_the_plan_as_it_is() -> None:
    plan = planner(start(14 * GB)).on((GPU,) * 4)

    assert verdict(plan).kv_tokens == verdict(planner().on((GPU,) * 4)).kv_tokens
    assert plan.correction.left_out is not None


@pytest.mark.parametrize("excess", [0, 5 * GB])
def test_what_is_kept_of_a_plan_is_its_ledger(excess: int) -> None:
    plan = planner(start(excess)).on((GPU,) * 4)
    book, planned = verdict(plan).ledger, plan.planned

    assert planned is not None
    assert planned.prediction.started == book.total - book.reserve - book.step + book.graphs
    assert (planned.prediction.kv, planned.prediction.correction) == (book.kv, book.correction.size)
