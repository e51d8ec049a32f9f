from typing import Any

import pytest

from scout_proxy.generate.contract import GenerateRequest
from scout_proxy.generate.sampling import generation_parameters, is_greedy
from scout_proxy.upstreams.engine import GenerationParameters


def parameters(**fields: Any) -> GenerationParameters:
    return generation_parameters(GenerateRequest(prompt="p", **fields), max_new_tokens=7, seed=3)


def test_the_defaults_sample() -> None:
    assert parameters() == GenerationParameters(
        max_new_tokens=7, do_sample=True, temperature=0.7, top_p=0.9, top_k=50, seed=3
    )


def test_temperature_zero_is_greedy_and_sends_no_sampling_field() -> None:
    assert is_greedy(GenerateRequest(prompt="p", temperature=0))
    assert parameters(temperature=0, top_p=0.5, top_k=3) == GenerationParameters(max_new_tokens=7, do_sample=False)


def test_temperature_one_alone_samples() -> None:
    assert parameters(temperature=1.0, top_p=1.0, top_k=0) == GenerationParameters(
        max_new_tokens=7, do_sample=True, temperature=1.0, seed=3
    )


@pytest.mark.parametrize("top_p", [1.0, 1 - 1e-12])
def test_a_top_p_that_an_engine_reads_as_one_is_left_out(top_p: float) -> None:
    assert parameters(top_p=top_p).top_p is None


def test_a_top_p_below_one_is_sent() -> None:
    assert parameters(top_p=0.999).top_p == 0.999


@pytest.mark.parametrize("temperature", [1e-300, 1e300])
def test_an_extreme_temperature_stays_within_32_bit_floats(temperature: float) -> None:
    sent = parameters(temperature=temperature)

    assert sent.do_sample
    assert sent.temperature is not None
    assert 1e-3 <= sent.temperature <= 1e4


def test_an_extreme_top_p_is_not_zero_for_the_engine() -> None:
    assert parameters(top_p=1e-300).top_p == 1e-6
