"""How long a prompt's step is that TGI chooses itself; the numbers are its launcher's (main.rs at tag v3.3.7)."""

from dataclasses import replace
from typing import Any

import pytest

from fakes.recorded_models import SCOUT, recorded
from fakes.tgi_requests import tgi_profile
from scout_deploy.engines.catalogue import planning_engine_for
from scout_deploy.fit.gpu_kind import cpu_with, read_gpus
from scout_deploy.fit_plan import Planner

LLAMA_8B = "meta-llama/Llama-3.1-8B-Instruct"


def step(model: str, gpus: str, engine: dict[str, Any] | None = None, *, driver: str | None = None) -> tuple[int, str]:
    planned = [one if driver is None else replace(one, name=driver) for one in read_gpus(gpus)]
    planner = Planner(profile=tgi_profile(engine), model=recorded(model), adapter=planning_engine_for("tgi"))
    memory = planner.memory(planned)
    assert memory is not None
    return memory.prefill_tokens, memory.prefill_from


@pytest.mark.parametrize(
    ("model", "gpus", "tokens"),
    [
        # A layer's 469,762,048 operations for a token, times 32: 121, 900 and 2 x 900 teraflops for a second.
        (LLAMA_8B, "L4", 121 * 10**12 // 15_032_385_536),
        (LLAMA_8B, "H100-80GB", 59_870),
        (LLAMA_8B, "2xH100-80GB", 119_741),
        (LLAMA_8B, "4xH200", 131_072),
        ("meta-llama/Llama-3.3-70B-Instruct", "2xA100-80GB", 4226),
        # Two experts for each token; as long as the model's longest sequence.
        ("mixtral-8x7b", "2xH100-80GB", 32_768),
    ],
)
def test_a_card_that_tgi_knows_computes_for_a_second(model: str, gpus: str, tokens: int) -> None:
    assert step(model, gpus) == (tokens, "TGI's default for this card")


@pytest.mark.parametrize("driver", ["NVIDIA H100 80GB HBM3", "NVIDIA H100 NVL"])
def test_a_card_is_known_by_its_drivers_name(driver: str) -> None:
    assert step(LLAMA_8B, "H100-80GB", driver=driver) == (59_870, "TGI's default for this card")


@pytest.mark.parametrize(
    ("model", "gpus", "driver", "tokens"),
    [
        (LLAMA_8B, "RTX4090", None, 4096),
        (LLAMA_8B, "H100-80GB", "NVIDIA H100 PCIe", 4096),
        (LLAMA_8B, "MI300X", None, 4096),
        # Models with images, and those whose config does not say all that the launcher looks for.
        (SCOUT, "4xH100-80GB", None, 4096),
        ("gemma-3-4b", "H100-80GB", None, 8000),
        ("falcon-7b", "H100-80GB", None, 4096),
    ],
)
def test_where_tgi_knows_no_better_it_takes_a_default(model: str, gpus: str, driver: str | None, tokens: int) -> None:
    assert step(model, gpus, driver=driver) == (tokens, "TGI's default")


def test_what_is_left_beside_the_weights_is_a_limit() -> None:
    """Of 23,034 MiB as the driver says it, 0.95 and 0.7 of that, less 14.5 GB of weights; 260,096 bytes a token."""
    whole, origin = step(LLAMA_8B, "L4", {"memory_fraction": 0.7})

    assert 5000 < whole < 6000
    assert origin == "TGI's default for this card"
    # Where not even the weights would fit, it sets no limit.
    assert step(LLAMA_8B, "L4", {"memory_fraction": 0.5}) == step(LLAMA_8B, "L4")


def test_the_profile_and_a_cpu_are_no_matter_of_the_card() -> None:
    assert step(LLAMA_8B, "H100-80GB", {"max_batch_prefill_tokens": 2048}) == (2048, "profile")
    on_cpu = Planner(profile=tgi_profile({}, gpus=None), model=recorded(LLAMA_8B), adapter=planning_engine_for("tgi"))
    memory = on_cpu.memory([cpu_with(64 * 10**9, 0)])
    assert memory is not None
    assert memory.prefill_tokens == 4096
