from typing import Any

import pytest

from fakes.recorded_models import SCOUT, SCOUT_FP8, SCOUT_W4A16, TINY_CONFIG, recorded
from scout_deploy.fit.shape import Latent, read_shape
from scout_deploy.fit.tensor import UnusableFactsError

# As the publishers' pages count them.
PARAMETERS = {
    SCOUT: 108_641_793_536,
    "meta-llama/Llama-3.1-8B-Instruct": 8_030_261_248,
    "meta-llama/Llama-3.3-70B-Instruct": 70_553_706_496,
    "Qwen/Qwen2.5-1.5B-Instruct": 1_543_714_304,
    "mistral-7b": 7_241_732_096,
    "mixtral-8x7b": 46_702_792_704,
    "qwen3-30b-a3b": 30_532_122_624,
    "gemma-2-9b": 9_241_705_984,
    "gemma-3-4b": 4_300_079_472,
    "phi-3-mini": 3_821_079_552,
    "falcon-7b": 7_217_189_760,
    "deepseek-v2-lite": 15_706_484_224,
}


@pytest.mark.parametrize(("name", "parameters"), PARAMETERS.items())
def test_a_recorded_model_has_as_many_parameters_as_its_publisher_counts(name: str, parameters: int) -> None:
    assert sum(tensor.elements for tensor in recorded(name).tensors) == parameters


@pytest.mark.parametrize(
    ("name", "gigabytes"), [(SCOUT, 217.3), (SCOUT_FP8, 114.6), (SCOUT_W4A16, 64.9)], ids=["bf16", "fp8", "w4a16"]
)
def test_the_weights_of_scout_are_as_large_as_published(name: str, gigabytes: float) -> None:
    assert round(recorded(name).stored_bytes / 1e9, 1) == gigabytes


def test_the_text_part_of_a_multimodal_model_counts() -> None:
    shape = recorded(SCOUT).shape

    assert (shape.architecture, shape.layers, shape.hidden_size) == ("llama4", 48, 5120)
    assert (shape.attention_heads, shape.kv_heads, shape.head_dim) == (40, 8, 128)
    assert (shape.experts, shape.experts_per_token, shape.shared_size) == (16, 1, 8192)
    assert shape.is_multimodal
    assert shape.attention_chunk == 8192


def test_what_other_architectures_say_by_other_names_is_understood() -> None:
    falcon, deepseek, qwen = (recorded(name).shape for name in ("falcon-7b", "deepseek-v2-lite", "qwen3-30b-a3b"))

    assert (falcon.kv_heads, falcon.head_dim, falcon.intermediate_size) == (1, 64, 4 * 4544)
    assert deepseek.latent == Latent(kv_lora_rank=512, qk_nope_head_dim=128, qk_rope_head_dim=64, v_head_dim=128)
    assert (deepseek.experts, deepseek.shared_size) == (64, 2 * 1408)
    assert (qwen.head_dim, qwen.intermediate_size, qwen.experts_per_token) == (128, 768, 8)
    assert deepseek.custom_code
    assert read_shape({"model_type": "gpt2", "n_embd": 768, "n_layer": 12, "n_head": 12, "vocab_size": 9}).layers == 12
    dbrx = {"d_model": 6144, "n_heads": 48, "n_layers": 40, "vocab_size": 9, "max_seq_len": 32768}
    nested = {"attn_config": {"kv_n_heads": 8}, "ffn_config": {"ffn_hidden_size": 10752, "moe_num_experts": 16}}
    assert read_shape({**dbrx, **nested}).kv_heads == 8


def test_what_a_published_config_leaves_out_is_the_default_of_its_class() -> None:
    """Gemma 3's says neither heads nor vocabulary, Falcon's no longest sequence, LLaVA's hardly anything."""
    gemma, falcon = recorded("gemma-3-4b").shape, recorded("falcon-7b").shape
    llava = read_shape({"model_type": "llava", "text_config": {"model_type": "llama", "vocab_size": 32_064}})

    assert (gemma.attention_heads, gemma.kv_heads, gemma.head_dim, gemma.vocab_size) == (8, 4, 256, 262_208)
    assert (gemma.max_positions, gemma.sliding_window) == (131_072, 1024)
    assert falcon.max_positions == 2048
    assert (llava.layers, llava.hidden_size, llava.vocab_size) == (32, 4096, 32_064)


def test_a_window_counts_where_it_is_used() -> None:
    assert recorded("mistral-7b").shape.sliding_window == 4096
    assert read_shape({**TINY_CONFIG, "sliding_window": 4096, "use_sliding_window": False}).sliding_window is None


@pytest.mark.parametrize(
    "change",
    [
        {"num_hidden_layers": 10**12},
        {"num_hidden_layers": 0},
        {"hidden_size": -1},
        {"num_attention_heads": "40"},
        {"vocab_size": 1.5},
        {"num_key_value_heads": 10**9},
        {"num_key_value_heads": [8, 8]},
        {"max_position_embeddings": True},
        {"intermediate_size": {"of": "each layer"}},
    ],
)
def test_absurd_numbers_are_named(change: dict[str, Any]) -> None:
    with pytest.raises(UnusableFactsError, match=f"{next(iter(change))}: .*no model has"):
        read_shape({**TINY_CONFIG, **change})


def test_a_missing_number_is_named() -> None:
    with pytest.raises(UnusableFactsError, match="does not say num_hidden_layers"):
        read_shape({name: value for name, value in TINY_CONFIG.items() if name != "num_hidden_layers"})
