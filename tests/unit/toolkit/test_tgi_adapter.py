from dataclasses import replace

import pytest

from fakes.tgi_requests import LLAMA, shipped_profile, tgi_profile, tgi_request
from scout_deploy.containers.spec import HealthCheck
from scout_deploy.engines.catalogue import container_engine_for
from scout_deploy.engines.container_engine import EngineContainer
from scout_deploy.errors import ProfileError
from scout_deploy.profile.catalogue import profile_files, shipped_profiles_dir
from scout_deploy.shipped_profiles import shipped_for_tgi

ADAPTER = container_engine_for("tgi")
SHIPPED = [one.name for one in shipped_for_tgi()]
PROBE = (
    "import http.client as c,sys;k=c.HTTPConnection('127.0.0.1',8080,timeout=25);"
    "k.request('GET','/health');sys.exit(k.getresponse().status!=200)"
)
HEALTH = HealthCheck(
    argv=("python3", "-c", PROBE),
    timeout_s=30.0,
    start_period_s=1800.0,
)
ENVIRONMENT = {
    "MODEL_ID": "/weights/model",
    "NUM_SHARD": "1",
    "PORT": "8080",
    "MAX_CONCURRENT_REQUESTS": "128",
    "MAX_STOP_SEQUENCES": "64",
    "PAYLOAD_LIMIT": "12065536",
    "GRACEFUL_TERMINATION_TIMEOUT": "90",
    "USAGE_STATS": "off",
    "HF_HUB_OFFLINE": "1",
}


def without_remarks(container: EngineContainer) -> EngineContainer:
    return replace(container, remarks=())


def test_the_whole_container_of_a100_4bit() -> None:
    container = ADAPTER.container(tgi_request(shipped_profile("a100-4bit")))

    assert without_remarks(container) == EngineContainer(
        image="ghcr.io/huggingface/text-generation-inference:3.3.7",
        environment=ENVIRONMENT
        | {"QUANTIZE": "compressed-tensors", "MAX_TOTAL_TOKENS": "8192", "MAX_BATCH_PREFILL_TOKENS": "2048"},
        port=8080,
        shm_size_bytes=1_000_000_000,
        stop_timeout_s=100,
        health=HEALTH,
        ulimits={"memlock": -1, "stack": 67_108_864},
    )


def test_the_whole_container_of_h100_8bit() -> None:
    container = ADAPTER.container(tgi_request(shipped_profile("h100-8bit", engine__memory_fraction="0.9")))

    assert without_remarks(container) == EngineContainer(
        image="ghcr.io/huggingface/text-generation-inference:3.3.7",
        environment=ENVIRONMENT
        | {
            "NUM_SHARD": "2",
            "QUANTIZE": "compressed-tensors",
            "MAX_TOTAL_TOKENS": "8192",
            "MAX_BATCH_PREFILL_TOKENS": "4096",
            "CUDA_MEMORY_FRACTION": "0.9",
        },
        port=8080,
        shm_size_bytes=2_000_000_000,
        stop_timeout_s=100,
        health=HEALTH,
        ulimits={"memlock": -1, "stack": 67_108_864},
    )


def test_the_whole_container_of_an_own_image_on_a_cpu() -> None:
    profile = tgi_profile(
        {"image": "registry.example/tgi:1", "shm_size_gb": 0.5, "environment": {"LOG_LEVEL": "info"}}, gpus=None
    )

    container = ADAPTER.container(tgi_request(profile, LLAMA, accelerator="intel-cpu"))

    (remark,) = container.remarks
    assert remark.startswith("unproven on hardware: on a CPU TGI gives its KV cache 95 % of the memory that is free")
    assert without_remarks(container) == EngineContainer(
        image="registry.example/tgi:1",
        environment=ENVIRONMENT | {"LOG_LEVEL": "info"},
        port=8080,
        shm_size_bytes=500_000_000,
        stop_timeout_s=100,
        health=HEALTH.model_copy(update={"start_period_s": 600.0}),
        cap_add=("SYS_NICE",),
    )


def test_the_whole_container_on_amd() -> None:
    profile = tgi_profile({"dtype": "bfloat16", "kv_cache_dtype": "fp8_e4m3fn", "max_input_tokens": 4000}, gpus=4)

    assert ADAPTER.container(tgi_request(profile, LLAMA, accelerator="amd")) == EngineContainer(
        image="ghcr.io/huggingface/text-generation-inference:3.3.7-rocm",
        environment=ENVIRONMENT
        | {"NUM_SHARD": "4", "DTYPE": "bfloat16", "KV_CACHE_DTYPE": "fp8_e4m3fn", "MAX_INPUT_TOKENS": "4000"},
        port=8080,
        shm_size_bytes=4_000_000_000,
        stop_timeout_s=100,
        health=HEALTH.model_copy(update={"start_period_s": 600.0}),
        devices=("/dev/kfd", "/dev/dri"),
        groups=("video",),
        cap_add=("SYS_PTRACE",),
        security_options=("no-new-privileges:true", "seccomp=unconfined"),
        ulimits={"memlock": -1, "stack": 67_108_864},
    )


def test_some_profiles_for_tgi_are_shipped() -> None:
    assert set(SHIPPED) == set(profile_files((shipped_profiles_dir(),))) - {"embedded", "cpu-gguf"}


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_profile_is_taken_and_those_of_scout_called_unproven(name: str) -> None:
    profile = shipped_profile(name)

    container = ADAPTER.container(tgi_request(profile))

    assert bool(container.remarks) == ("Llama-4" in str(profile.model.id))
    assert all(remark.startswith("unproven on hardware: ") for remark in container.remarks)


def test_the_example_of_every_key_is_taken() -> None:
    container = ADAPTER.container(tgi_request(shipped_profile("example")))

    assert container.environment["NCCL_DEBUG"] == "INFO"


@pytest.mark.parametrize("name", SHIPPED)
def test_no_variable_of_a_shipped_profile_is_a_secret_or_of_several_lines(name: str) -> None:
    environment = ADAPTER.container(tgi_request(shipped_profile(name))).environment

    assert not [key for key in environment if "TOKEN" in key.split("_") or "SECRET" in key or key.endswith("KEY")]
    assert not [value for value in environment.values() if "\n" in value or not value]


def test_a_flag_that_llama_4_ignores_is_an_error_that_names_the_nearest_profile() -> None:
    profile = shipped_profile(
        "a100-4bit", model__id="meta-llama/Llama-4-Scout-17B-16E-Instruct", engine__quantization="bitsandbytes-nf4"
    )

    with pytest.raises(ProfileError) as caught:
        ADAPTER.container(tgi_request(profile))

    assert caught.value.message.splitlines()[1].startswith(
        "engine/quantization: got bitsandbytes-nf4, which TGI 3.3.7 accepts and then ignores for llama4: "
        "it loads everything in bf16, 217 GB for Scout (source: "
    )
    assert caught.value.next_step == "the nearest shipped profile that TGI takes as it is: a100-4bit"


def test_every_problem_is_named_at_once() -> None:
    profile = shipped_profile(
        "h100-8bit", engine__version="3.9.0", engine__kv_cache_dtype="fp8_e5m2", engine__environment="{PORT: '80'}"
    )

    with pytest.raises(ProfileError) as caught:
        ADAPTER.container(tgi_request(profile))

    assert [line.split(":")[0] for line in caught.value.message.splitlines()[1:]] == [
        "engine/version",
        "engine/kv_cache_dtype",
        "engine/environment/PORT",
    ]


def test_no_profile_is_named_for_a_model_of_another_architecture() -> None:
    profile = tgi_profile({"quantization": "marlin"})

    with pytest.raises(ProfileError) as caught:
        ADAPTER.container(tgi_request(profile, replace(LLAMA, architecture="mistral")))

    assert caught.value.next_step is None


def test_a_model_whose_config_is_not_at_hand_is_said_to_be_checked_later() -> None:
    container = ADAPTER.container(tgi_request(tgi_profile()))

    (remark,) = container.remarks
    assert remark.startswith("unproven on hardware: the model's config.json is not at hand")


def test_the_failures_are_tgis() -> None:
    assert "small-shared-memory" in [signature.name for signature in ADAPTER.signatures()]


def test_log_lines_are_read() -> None:
    phase = ADAPTER.read_phase("2025-04-16T17:59:09.6Z  INFO text_generation_launcher: Starting Webserver")

    assert phase is not None
    assert phase.name == "warm-up"
