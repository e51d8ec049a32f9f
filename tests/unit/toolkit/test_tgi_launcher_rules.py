from collections.abc import Mapping

import pytest

from fakes.tgi_requests import LLAMA, tgi_profile, tgi_request
from scout_deploy.engines.container_engine import Accelerator
from scout_deploy.engines.tgi.environment import environment_problems
from scout_deploy.engines.tgi.images import version_problem
from scout_deploy.engines.tgi.launcher_rules import broken_launcher_rules
from scout_deploy.model_facts import ModelFacts

GEMMA = ModelFacts(architecture="gemma3", attention_heads=32, kv_heads=16)


def broken(
    engine: Mapping[str, object] | None = None,
    facts: ModelFacts = LLAMA,
    *,
    gpus: int = 1,
    accelerator: Accelerator = "nvidia",
) -> list[str]:
    profile = tgi_profile(engine, gpus=gpus)
    return list(broken_launcher_rules(tgi_request(profile, facts, accelerator=accelerator)))


@pytest.mark.parametrize(
    ("engine", "expected"),
    [
        ({"quantization": "bitsandbytes-nf8"}, "engine/quantization: got bitsandbytes-nf8, expected one of awq, "),
        ({"quantization": "bitsandbytes-nf8"}, "did you mean bitsandbytes-nf4?"),
        ({"dtype": "float32"}, "engine/dtype: got float32, expected bfloat16 or float16"),
        ({"kv_cache_dtype": "q8_0"}, "engine/kv_cache_dtype: got q8_0, expected fp8_e4m3fn or fp8_e5m2"),
        ({"environment": {"VALIDATION_WORKERS": "0"}}, "engine/environment/VALIDATION_WORKERS: got 0, expected 1"),
        (
            {"max_batch_prefill_tokens": 2048, "context_length": 8192, "environment": {"PREFILL_CHUNKING": "0"}},
            "engine/max_batch_prefill_tokens: got 2048, expected 8191 or more: PREFILL_CHUNKING is off",
        ),
    ],
)
def test_what_the_launcher_refuses_is_refused_first(engine: dict[str, object], expected: str) -> None:
    (line,) = broken(engine)

    assert expected in line


@pytest.mark.parametrize("gpus", [1, 2, 4, 8])
def test_gpus_that_divide_the_heads_are_taken(gpus: int) -> None:
    assert broken(gpus=gpus) == []


def test_gpus_that_do_not_divide_the_heads_are_refused_with_the_counts_that_do() -> None:
    assert broken(gpus=3) == [
        "hardware/gpu_count: got 3, expected 1 or 2 or 4 or 8: it has to divide the model's attention heads (32 and 8)"
    ]


def test_exl2_weights_cannot_be_split() -> None:
    (line,) = broken(facts=ModelFacts(architecture="llama", quantization="exl2"), gpus=2)

    assert line.startswith("hardware/gpu_count: got 2, expected 1: exl2")


def test_prompts_that_are_computed_whole_have_to_fit_into_one_step() -> None:
    """As somebody found with Gemma 3: https://github.com/huggingface/text-generation-inference/issues/3130."""
    small: dict[str, object] = {"max_batch_prefill_tokens": 4096, "max_input_tokens": 30_000}

    assert broken(small) == []
    assert "TGI computes prompts of gemma3 whole" in broken(small, GEMMA)[0]
    assert "the ROCm image" in broken(small, accelerator="amd")[0]
    assert broken(small | {"environment": {"PREFILL_CHUNKING": "1"}}, accelerator="amd") == []
    assert broken(small | {"max_batch_prefill_tokens": 30_000}, GEMMA) == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("NUM_SHARD", "engine/environment/NUM_SHARD: got a value, expected hardware/gpu_count to say it"),
        ("model_id", "engine/environment/model_id: got a value, expected model/id or model/path to say it"),
        (
            "NGROK_AUTHTOKEN",
            "engine/environment/NGROK_AUTHTOKEN: got a value, expected it left out: scout-deploy decides it",
        ),
        ("PORT", "engine/environment/PORT: got a value, expected it left out: scout-deploy decides it"),
    ],
)
def test_a_variable_that_the_plan_owns_is_refused(name: str, expected: str) -> None:
    assert environment_problems({name: "2", "NCCL_DEBUG": "INFO"}) == [expected]


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\0b"])
def test_a_variable_of_several_lines_is_refused(value: str) -> None:
    assert environment_problems({"NOTE": value}) == [
        "engine/environment/NOTE: got a text of several lines, expected one line"
    ]


def test_an_unknown_version_is_refused_with_the_nearest() -> None:
    assert version_problem(tgi_profile({"version": "3.3.9"}).engine) == (
        "engine/version: got 3.3.9, expected a version of TGI that has an image, such as 3.3.7 (known: 3.0.0 to 3.3.7)"
    )


def test_the_version_of_an_own_image_is_its_owners_business() -> None:
    assert version_problem(tgi_profile({"version": "3.4.0-ours", "image": "registry.example/tgi"}).engine) is None
