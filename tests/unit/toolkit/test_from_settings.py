import pytest

from fakes.tgi_requests import shipped_profile
from scout_deploy.diagnosis.diagnosis import EngineSettings
from scout_deploy.diagnosis.from_settings import engine_settings
from scout_deploy.profile.settings import flatten_settings


def test_the_settings_of_a_shipped_profile_are_read_off_its_label() -> None:
    profile = shipped_profile("h100-8bit", engine__memory_fraction="0.9", engine__shm_size_gb="2", replicas="2")

    assert engine_settings(flatten_settings(profile, "1"), image="tgi:3.3.7", gpu_count=2) == EngineSettings(
        gpu_count=2,
        max_batch_prefill_tokens=4096,
        context_length=8192,
        max_input_tokens=None,
        memory_fraction=0.9,
        shm_size_gb=2.0,
        quantization="compressed-tensors",
        model_id="RedHatAI/Llama-4-Scout-17B-16E-Instruct-FP8-dynamic",
        version="3.3.7",
        image="tgi:3.3.7",
        replicas=2,
        port=2025,
    )


def test_of_a_label_that_is_missing_nothing_is_known() -> None:
    assert engine_settings({}, image="x", gpu_count=0) == EngineSettings(
        gpu_count=0,
        max_batch_prefill_tokens=None,
        context_length=None,
        max_input_tokens=None,
        memory_fraction=None,
        shm_size_gb=None,
        quantization=None,
        model_id=None,
        version=None,
        image="x",
        replicas=1,
        port=0,
    )


@pytest.mark.parametrize("text", ["many", "", "²", "-1", "1.5"])
def test_what_is_no_number_is_not_known(text: str) -> None:
    assert engine_settings({"engine/context_length": text}, image="x", gpu_count=0).context_length is None


def test_a_directory_names_the_model_where_no_id_does() -> None:
    settings = {"model/path": "/models/chat", "engine/memory_fraction": "most"}

    read = engine_settings(settings, image="x", gpu_count=1)

    assert (read.model_id, read.memory_fraction) == ("/models/chat", None)
