from collections.abc import Iterator
from itertools import product

import pytest

from fakes.tgi_requests import LLAMA, shipped_profile, tgi_profile, tgi_request
from scout_deploy.engines.container_engine import Accelerator
from scout_deploy.engines.tgi.architectures import KNOWN_ARCHITECTURES
from scout_deploy.engines.tgi.judgement import TABLE, general_remarks, judge
from scout_deploy.engines.tgi.quantization import METHODS
from scout_deploy.engines.tgi.truth import Case, Row, find_row
from scout_deploy.engines.tgi.versions import KNOWN_VERSIONS, parse_version
from scout_deploy.known_models import known_facts
from scout_deploy.model_facts import ModelFacts
from scout_deploy.profile.profile import Profile

VERSIONS = tuple(version for text in KNOWN_VERSIONS if (version := parse_version(text)) is not None)
ACCELERATORS: tuple[Accelerator, ...] = ("nvidia", "amd", "intel-cpu")
SCOUT = known_facts("meta-llama/Llama-4-Scout-17B-16E-Instruct") or ModelFacts()
SCOUT_W4A16 = known_facts("RedHatAI/Llama-4-Scout-17B-16E-Instruct-quantized.w4a16") or ModelFacts()
QWEN3 = ModelFacts(architecture="qwen3", attention_heads=32, kv_heads=8)


def cases_of(row: Row) -> Iterator[Case]:
    """Every case that could be meant by a row, of values that the table knows."""
    methods: tuple[str | None, ...] = (None, "awq", "gptq", "compressed-tensors", "bitsandbytes", "fp8", "marlin")
    values = row.values or ("16384", "bfloat16", "SOMETHING", *METHODS)
    return (
        Case(
            setting=row.setting,
            value=architecture if row.setting == "model" else value,
            version=version,
            accelerator=accelerator,
            architecture=architecture,
            quantization=value if row.setting == "engine/quantization" else method,
            method=method,
            format=form,
            shards=shards,
        )
        for value, version, accelerator, architecture, method, form, shards in product(
            values,
            (VERSIONS[0], VERSIONS[7], VERSIONS[-1]),
            row.accelerators or ACCELERATORS,
            row.architectures or ("qwen3", "something-new", "llama", "t5"),
            methods,
            row.formats or (None,),
            (1, 2),
        )
    )


@pytest.mark.parametrize("index", range(len(TABLE)))
def test_every_row_decides_some_case(index: int) -> None:
    assert any(find_row(TABLE, case) is TABLE[index] for case in cases_of(TABLE[index])), TABLE[index]


def test_every_row_says_why_and_where_from() -> None:
    for row in TABLE:
        assert row.note
        assert "v3." in row.source or row.source.startswith("https://github.com/"), row


@pytest.mark.parametrize("accelerator", ACCELERATORS)
@pytest.mark.parametrize("method", METHODS)
def test_every_quantization_of_every_architecture_has_an_answer(accelerator: Accelerator, method: str) -> None:
    other = "gptq" if method != "gptq" else "awq"
    for architecture, checkpoint in product(KNOWN_ARCHITECTURES, (None, method, other)):
        case = Case(
            setting="engine/quantization",
            value=method,
            version=VERSIONS[-1],
            accelerator=accelerator,
            architecture=architecture,
            quantization=method,
            method=checkpoint,
        )
        assert find_row(TABLE, case) is not None, case


def verdicts(profile: Profile, facts: ModelFacts, accelerator: Accelerator = "nvidia") -> dict[str, str]:
    return {one.key: one.row.verdict for one in judge(tgi_request(profile, facts, accelerator=accelerator))}


def test_a_version_without_the_architecture_is_refused_in_words() -> None:
    (finding,) = judge(tgi_request(tgi_profile({"version": "3.2.2"}), SCOUT))

    assert str(finding).startswith("model: got llama4, which TGI 3.2.2 refuses: 3.2.2 ships transformers 4.49")


@pytest.mark.parametrize(
    "method", ["awq", "gptq", "eetq", "exl2", "marlin", "fp8", "bitsandbytes", "bitsandbytes-nf4", "bitsandbytes-fp4"]
)
def test_llama_4_ignores_every_flag_that_would_quantize_it(method: str) -> None:
    found = verdicts(shipped_profile("a100-bf16", engine__quantization=method), SCOUT)

    assert found["engine/quantization"] == "ignored"


def test_compressed_tensors_of_a_plain_llama_4_is_refused() -> None:
    found = verdicts(shipped_profile("a100-bf16", engine__quantization="compressed-tensors"), SCOUT)

    assert found["engine/quantization"] == "refused"


@pytest.mark.parametrize(
    ("keys", "facts", "accelerator", "expected"),
    [
        ({"kv_cache_dtype": "fp8_e4m3fn"}, SCOUT, "nvidia", {"engine/kv_cache_dtype": "ignored"}),
        ({"dtype": "float16"}, SCOUT, "nvidia", {"engine/dtype": "ignored"}),
        ({"dtype": "bfloat16"}, SCOUT, "nvidia", {}),
        ({"dtype": "bfloat16"}, SCOUT_W4A16, "nvidia", {"model (its own quantization)": "unproven"}),
        ({"context_length": 16384}, SCOUT, "nvidia", {"engine/context_length": "unproven"}),
        ({"context_length": 8192}, SCOUT, "nvidia", {}),
        ({"version": "3.2.2"}, SCOUT, "nvidia", {"model": "refused"}),
        ({"environment": {"ROPE_FACTOR": "2"}}, SCOUT, "nvidia", {"engine/environment/ROPE_FACTOR": "ignored"}),
    ],
)
def test_what_tgi_makes_of_llama_4(
    keys: dict[str, object], facts: ModelFacts, accelerator: Accelerator, expected: dict[str, str]
) -> None:
    assert verdicts(tgi_profile(keys), facts, accelerator) == {"model": "unproven"} | expected


def test_packed_weights_of_llama_4_are_not_split() -> None:
    assert verdicts(tgi_profile({"quantization": "compressed-tensors"}, gpus=2), SCOUT_W4A16)["hardware/gpu_count"] == (
        "ignored"
    )


@pytest.mark.parametrize(
    ("keys", "facts", "accelerator", "expected"),
    [
        ({}, LLAMA, "nvidia", {}),
        ({"quantization": "eetq"}, LLAMA, "nvidia", {}),
        ({"quantization": "bitsandbytes-nf4", "dtype": "float16"}, LLAMA, "nvidia", {}),
        ({"quantization": "eetq", "dtype": "float16"}, LLAMA, "nvidia", {"engine/dtype": "refused"}),
        ({"quantization": "awq"}, LLAMA, "nvidia", {"engine/quantization": "refused"}),
        ({"quantization": "eetq"}, LLAMA, "amd", {"engine/quantization": "refused"}),
        ({"kv_cache_dtype": "fp8_e5m2"}, LLAMA, "amd", {"engine/kv_cache_dtype": "refused"}),
        ({"memory_fraction": 0.5}, LLAMA, "nvidia", {}),
        ({"memory_fraction": 0.5}, LLAMA, "intel-cpu", {"engine/memory_fraction": "ignored"}),
        (
            {"environment": {"MAX_BATCH_TOTAL_TOKENS": "9"}},
            LLAMA,
            "nvidia",
            {"engine/environment/MAX_BATCH_TOTAL_TOKENS": "ignored"},
        ),
        ({"environment": {"NCCL_DEBUG": "INFO"}}, LLAMA, "nvidia", {}),
        ({"quantization": "fp8"}, QWEN3, "nvidia", {"model": "unproven", "engine/quantization": "ignored"}),
        ({"quantization": "gptq"}, QWEN3, "nvidia", {"model": "unproven", "engine/quantization": "refused"}),
        ({"quantization": "bitsandbytes"}, QWEN3, "nvidia", {"model": "unproven"}),
        ({"kv_cache_dtype": "fp8_e5m2"}, QWEN3, "nvidia", {"model": "unproven", "engine/kv_cache_dtype": "ignored"}),
        ({"version": "3.2.2"}, QWEN3, "nvidia", {"model": "refused"}),
        ({"version": "3.1.1"}, ModelFacts(architecture="gemma3"), "nvidia", {"model": "refused"}),
        ({}, ModelFacts(architecture="gemma3"), "nvidia", {}),
        ({}, ModelFacts(architecture="brand-new"), "nvidia", {"model": "unproven"}),
        ({}, ModelFacts(), "nvidia", {}),
    ],
)
def test_what_tgi_makes_of_other_models(
    keys: dict[str, object], facts: ModelFacts, accelerator: Accelerator, expected: dict[str, str]
) -> None:
    assert verdicts(tgi_profile(keys), facts, accelerator) == expected


@pytest.mark.parametrize(
    ("flag", "method", "accelerator", "expected"),
    [
        (None, "awq", "nvidia", {}),
        ("awq", "awq", "nvidia", {}),
        (None, "awq", "amd", {"model (its own quantization)": "refused"}),
        ("gptq", "awq", "amd", {}),
        ("eetq", "gptq", "nvidia", {"engine/quantization": "refused"}),
        (None, "fbgemm_fp8", "nvidia", {}),
        ("fp8", "fbgemm_fp8", "nvidia", {}),
        (None, "mxfp4", "nvidia", {"model (its own quantization)": "unproven"}),
        (None, "bitsandbytes", "nvidia", {"model (its own quantization)": "unproven"}),
    ],
)
def test_what_tgi_makes_of_quantized_checkpoints(
    flag: str | None, method: str, accelerator: Accelerator, expected: dict[str, str]
) -> None:
    facts = ModelFacts(architecture="llama", quantization=method)

    assert verdicts(tgi_profile({"quantization": flag}), facts, accelerator) == expected


def test_a_dtype_beside_a_quantized_checkpoint_would_end_the_shards() -> None:
    facts = ModelFacts(architecture="llama", quantization="gptq")

    assert verdicts(tgi_profile({"dtype": "bfloat16"}), facts) == {"engine/dtype": "refused"}


def test_a_dtype_is_taken_beside_a_quantization_that_the_launcher_does_not_know() -> None:
    facts = ModelFacts(architecture="llama", quantization="fbgemm_fp8")

    assert verdicts(tgi_profile({"dtype": "bfloat16"}), facts) == {}


def test_a_context_that_the_model_was_not_made_for_is_remarked_upon() -> None:
    request = tgi_request(tgi_profile({"context_length": 200_000}), LLAMA)

    assert general_remarks(request) == ("engine/context_length: got 200000; the model was made for at most 131072",)


def test_an_own_image_with_a_version_of_its_own_is_judged_as_the_latest() -> None:
    request = tgi_request(tgi_profile({"version": "ours", "image": "registry.example/tgi"}), SCOUT)

    assert general_remarks(request) == ("engine/version: got ours, which is no version of TGI; 3.3.7 is assumed",)
    assert [finding.row.verdict for finding in judge(request)] == ["unproven"]
