"""Plans for published models: what each GPU holds, what fits, what is refused, and what would do."""

from typing import Any

import pytest

from fakes.recorded_models import SCOUT, SCOUT_FP8, SCOUT_W4A16, recorded
from fakes.tgi_requests import shipped_profile, tgi_profile
from scout_deploy.engines.catalogue import planning_engine_for
from scout_deploy.fit.gpu_kind import cpu_with, describe, read_gpus
from scout_deploy.fit.verdict import Verdict
from scout_deploy.fit_plan import FitPlan, Planner
from scout_deploy.plan_gpus import gpus_of
from scout_deploy.profile.profile import Profile
from scout_deploy.shipped_profiles import shipped_for_tgi

LLAMA_8B, LLAMA_70B = "meta-llama/Llama-3.1-8B-Instruct", "meta-llama/Llama-3.3-70B-Instruct"


def planner(profile: Profile, model: str, context: int | None = None) -> Planner:
    return Planner(profile=profile, model=recorded(model), adapter=planning_engine_for("tgi"), context=context)


def plan(name: str, gpus: str, *, model: str = SCOUT, context: int | None = None) -> FitPlan:
    return planner(shipped_profile(name), model, context).on(read_gpus(gpus))


def plan_of(model: str, gpus: str, engine: dict[str, Any] | None = None) -> FitPlan:
    return planner(tgi_profile(engine), model).on(read_gpus(gpus))


def verdict(found: FitPlan) -> Verdict:
    assert found.verdict is not None, found.reason
    return found.verdict


def test_what_the_embedding_and_the_vision_part_take_is_held_by_each_gpu_of_scout() -> None:
    weights = [verdict(plan("h100-bf16", f"{count}xH200")).ledger.weights.total / 1e9 for count in (1, 2, 4, 8)]

    # The embedding is 2.1 GB, the vision part 1.7 GB, of 217.3 GB.
    assert [round(one, 1) for one in weights] == [217.3, 110.6, 57.2, 30.5]


def test_an_engine_that_splits_the_embedding_holds_it_once() -> None:
    one, two = (verdict(plan_of(LLAMA_8B, f"{count}xL40S")).ledger.weights for count in (1, 2))

    # Norms alone are held twice: 65 of 4096 numbers.
    assert two.whole == 65 * 4096 * 2
    assert two.split * 2 + two.whole == one.total


@pytest.mark.parametrize(
    ("model", "numbers"),
    # Gemma's config does not say that they are tied: it is the default.
    [("Qwen/Qwen2.5-1.5B-Instruct", 151_936 * 1536), ("gemma-2-9b", 256_000 * 3584)],
)
def test_a_head_that_is_tied_to_the_embedding_is_held_a_second_time(model: str, numbers: int) -> None:
    weights = verdict(plan_of(model, "L40S")).ledger.weights

    assert weights.total == recorded(model).stored_bytes + numbers * 2


def test_a_context_that_the_engine_chooses_is_as_long_as_memory_allows_and_not_tight() -> None:
    chosen = plan_of(LLAMA_8B, "L4")
    asked = plan_of(LLAMA_8B, "L4", {"context_length": verdict(chosen).kv_tokens})

    assert (chosen.answer, asked.answer) == ("fits", "tight")
    assert verdict(chosen).context == verdict(asked).context < 131_072
    least = planner(tgi_profile({}), LLAMA_8B).smallest_sets(read_gpus("RTX4060")[0])
    assert "1 x A10-24GB" in [describe(one.gpus) for one in least]


@pytest.mark.parametrize(
    ("model", "gpus", "bytes_a_token"),
    [
        (SCOUT, "1xH200", 196_608),
        (SCOUT, "4xH200", 49_152),
        (LLAMA_70B, "2xH200", 80 * 2 * 4 * 128 * 2),
        # One head for all is on every GPU.
        ("falcon-7b", "1xL4", 32 * 2 * 64 * 2),
        # TGI keeps whole heads of 128 + 64, not the latent form.
        ("deepseek-v2-lite", "1xA100-80GB", 27 * 2 * 16 * 192 * 2),
        ("gemma-2-9b", "1xL40S", 42 * 2 * 8 * 256 * 2),
    ],
)
def test_the_kv_cache_of_a_token(model: str, gpus: str, bytes_a_token: int) -> None:
    assert verdict(plan_of(model, gpus)).ledger.kv_token == bytes_a_token


def test_a_kv_cache_in_eight_bits_holds_twice_the_tokens() -> None:
    half = verdict(plan_of(LLAMA_8B, "L40S", {"kv_cache_dtype": "fp8_e4m3fn"}))
    full = verdict(plan_of(LLAMA_8B, "L40S"))

    assert half.ledger.kv_token * 2 == full.ledger.kv_token
    assert half.kv_tokens // 2 == pytest.approx(full.kv_tokens, abs=1)


def test_an_engine_that_quantizes_while_it_loads_needs_less() -> None:
    full = verdict(plan_of(LLAMA_8B, "L40S")).ledger.weights.total
    four_bits = verdict(plan_of(LLAMA_8B, "L40S", {"quantization": "bitsandbytes-nf4"})).ledger.weights.total

    # Embedding and head, 2.1 GB together, stay as they are.
    assert round(full / 1e9, 1) == 16.1
    assert 5.5e9 < four_bits < 6.5e9


def on_cpu(model: str, gigabytes: int, *, held: int = 0, engine: dict[str, Any] | None = None) -> FitPlan:
    cpu = cpu_with(gigabytes * 10**9, held * 10**9)
    return planner(tgi_profile({"context_length": 8192, **(engine or {})}, gpus=None), model).on((cpu,))


def test_on_a_cpu_the_kv_cache_gets_a_share_of_what_is_free_after_a_prompt() -> None:
    """TGI 3.3.7 get_cpu_free_memory: 0.95 of what is free, whatever `memory_fraction` would say; blocks of 64."""
    book = verdict(on_cpu(LLAMA_8B, 64, held=4)).ledger

    free = 60 * 10**9 - book.context - book.weights.total - book.step
    assert book.kv == int(0.95 * free)
    assert book.reserve == free - book.kv
    assert (book.block_tokens, book.graphs) == (64, 0)
    assert book.kv_tokens == book.kv // (131_072 * 64) * 64


def test_on_a_cpu_what_others_hold_decides() -> None:
    assert on_cpu(LLAMA_8B, 24).answer == "fits"
    crowded = on_cpu(LLAMA_8B, 24, held=8)
    assert crowded.answer == "no"
    assert "there are 24.0 GB, of which other processes hold 8.0 GB" in crowded.reason


def test_what_would_do_on_a_cpu_would_do() -> None:
    plan_of_scout = on_cpu(SCOUT, 64)
    least = planner(tgi_profile({"context_length": 8192}, gpus=None), SCOUT).least_memory(plan_of_scout)

    assert plan_of_scout.answer == "no"
    assert on_cpu(SCOUT, -(-least // 10**9)).answer == "fits"
    assert on_cpu(SCOUT, int(least * 0.95) // 10**9).answer != "fits"


@pytest.mark.parametrize("model", [SCOUT_FP8, SCOUT_W4A16])
def test_a_checkpoint_that_the_image_for_cpus_unpacks_for_good_needs_what_the_whole_one_needs(model: str) -> None:
    whole = verdict(on_cpu(SCOUT, 512)).ledger.weights.total
    unpacked = verdict(on_cpu(model, 512)).ledger.weights.total

    assert unpacked == pytest.approx(whole, rel=0.01)


def test_what_tgi_does_not_do_on_a_cpu_is_refused() -> None:
    found = on_cpu(LLAMA_8B, 512, engine={"quantization": "bitsandbytes-nf4"})

    assert found.answer == "no"
    assert "the image has no such library" in found.reason


def test_the_kv_cache_of_an_older_attention_is_allotted_in_blocks() -> None:
    # 64 wide heads would do for flashinfer, were it not Falcon.
    falcon = verdict(plan_of("falcon-7b", "L4"))

    assert falcon.ledger.block_tokens == 256
    assert falcon.kv_tokens % 256 == 0


@pytest.mark.parametrize(
    ("profile", "model", "gpus", "answer"),
    [
        ("a100-4bit", SCOUT_W4A16, "1xA100-80GB", "fits"),
        ("a100-4bit", SCOUT_W4A16, "1xA100-40GB", "no"),
        ("h100-bf16", SCOUT, "1xH100-80GB", "no"),
        ("h100-bf16", SCOUT, "2xH100-80GB", "no"),
        ("h100-bf16", SCOUT, "4xH100-80GB", "fits"),
        ("l40s-bf16", SCOUT, "8xL40S-48GB", "fits"),
        ("h200-bf16", SCOUT, "2xH200", "fits"),
        ("h100-8bit", SCOUT_FP8, "2xH100-80GB", "fits"),
        ("h100-8bit", SCOUT_FP8, "1xH100-80GB", "no"),
    ],
)
def test_where_scout_fits(profile: str, model: str, gpus: str, answer: str) -> None:
    assert plan(profile, gpus, model=model).answer == answer


@pytest.mark.parametrize("name", [one.name for one in shipped_for_tgi()])
def test_a_shipped_profile_fits_on_the_gpus_of_its_name(name: str) -> None:
    profile = shipped_profile(name)
    gpus = gpus_of(profile.hardware)

    assert gpus is not None
    assert (profile.hardware.gpu_kind or "").lower().replace(" ", "") == name.partition("-")[0]
    found = planner(profile, str(profile.model.id)).on(gpus)
    assert found.answer == "fits", found.reason
    assert verdict(found).sequences >= 2


def test_a_published_start_of_another_model_is_predicted() -> None:
    """Llama 3.1 70B on two A100 with 80 GB: TGI set 30,816 tokens with a prefill budget of 10,049.

    Source: https://github.com/huggingface/text-generation-inference/issues/2744
    """
    found = verdict(plan_of(LLAMA_70B, "2xA100-80GB", {"max_batch_prefill_tokens": 10_049, "context_length": 8192}))

    off = (30_816 - found.kv_tokens) * found.ledger.kv_token
    assert 0 < off < 0.03 * found.ledger.total


def test_a_step_over_all_experts_needs_what_was_measured() -> None:
    """Measured with PyTorch 2.11 on an H200: a layer's experts of Scout's sizes, 4096 tokens, 1 and 4 GPUs."""
    for count, measured in ((1, 4_966_580_224), (4, 2_148_007_936)):
        step = verdict(plan("h100-bf16", f"{count}xH200")).ledger.activations
        rest = 4096 * 2 * (4 * 5120 + 3 * 8192 // count)

        assert step.for_each_token * 4096 - rest == pytest.approx(measured, rel=0.001)


def test_heads_forbid_numbers_of_gpus() -> None:
    found = plan("h100-bf16", "3xH100-80GB")

    assert found.answer == "no"
    assert "40 attention heads and 8 of keys and values, which 3 GPUs cannot share; 1, 2, 4, 8 can" in found.reason


def test_what_the_engine_would_ignore_is_refused_beforehand() -> None:
    found = plan("a100-4bit", "2xA100-80GB", model=SCOUT_W4A16)

    assert found.answer == "no"
    assert "accepts and then ignores" in found.reason


def test_a_context_that_the_engine_computes_wrongly_is_refused() -> None:
    found = plan("h100-bf16", "4xH100-80GB", context=16_384)

    assert found.answer == "no"
    assert "beyond the 8,192" in found.reason
    assert verdict(found).missing == 0
    assert verdict(found).largest_context == 8192


@pytest.mark.parametrize("gpus", ["8xH100-80GB", "1xL4", "1xT4"])
def test_a_context_beyond_the_models_own_is_refused_for_that_whatever_memory_there_is(gpus: str) -> None:
    found = planner(tgi_profile({"context_length": 200_000}), LLAMA_8B).on(read_gpus(gpus))

    assert found.answer == "no"
    assert "beyond the model's own 131,072" in found.reason
    assert not found.is_about_memory


def test_a_context_that_memory_does_not_hold_says_how_much_would_fit() -> None:
    found = planner(tgi_profile({"context_length": 100_000}), LLAMA_8B).on(read_gpus("L4"))

    assert found.answer == "no"
    assert "a context of 100,000 tokens needs 13.1 GB of KV cache; TGI would have" in found.reason
    assert 20_000 < verdict(found).largest_context < 40_000


def test_a_prompts_step_that_does_not_fit_says_so() -> None:
    found = plan_of(LLAMA_8B, "L4", {"max_batch_prefill_tokens": 131_072})

    assert found.answer == "no"
    assert "a prompt's step of 131,072 tokens needs" in found.reason
    fitting = verdict(plan_of(LLAMA_8B, "L4", {"context_length": 8192})).largest_prefill
    small = plan_of(LLAMA_8B, "L4", {"context_length": 8192, "max_batch_prefill_tokens": fitting})
    assert small.answer == "tight"


def test_what_other_processes_hold_counts_against_it() -> None:
    (gpu,) = read_gpus("A100-80GB")
    busy = type(gpu)(name=gpu.name, total_bytes=gpu.total_bytes, held_bytes=30 * 10**9, compute_capability="8.0")

    found = planner(shipped_profile("a100-4bit"), SCOUT_W4A16).on((busy,))

    assert found.answer == "no"
    assert "other processes hold 30.0 GB" in found.reason


def test_a_refusal_knows_what_would_do() -> None:
    """Of the kind at hand, and the least memory of all."""
    scout = planner(shipped_profile("h100-bf16"), SCOUT)
    small = planner(shipped_profile("a100-4bit"), SCOUT_W4A16)

    assert [describe(one.gpus) for one in scout.smallest_sets(read_gpus("H100-80GB")[0])] == [
        "4 x H100-80GB",
        "2 x H200-141GB",
    ]
    # These weights cannot be split, so no number of small GPUs would do.
    assert [describe(one.gpus) for one in small.smallest_sets(read_gpus("A100-40GB")[0])] == ["1 x A100-80GB"]


def test_of_an_unknown_model_nothing_is_said() -> None:
    unknown = Planner(profile=tgi_profile(), model=None, adapter=planning_engine_for("tgi"))

    assert unknown.on(read_gpus("L4")).answer == "unknown"
    assert unknown.smallest_sets(read_gpus("L4")[0]) == ()
