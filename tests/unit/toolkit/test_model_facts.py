import pytest

from fakes.recorded_models import SCOUT_W4A16
from scout_deploy.known_models import known_facts, known_model
from scout_deploy.model_facts import ModelFacts, facts_of_config
from scout_deploy.shipped_profiles import shipped_for_tgi


def test_the_facts_of_a_multimodal_model_are_those_of_its_text_part() -> None:
    config = {
        "model_type": "llama4",
        "quantization_config": {"quant_method": "compressed-tensors", "format": "pack-quantized"},
        "text_config": {
            "num_attention_heads": 40,
            "num_key_value_heads": 8,
            "max_position_embeddings": 10_485_760,
        },
        "vision_config": {"hidden_size": 1408},
    }

    assert facts_of_config(config) == known_facts("RedHatAI/Llama-4-Scout-17B-16E-Instruct-quantized.w4a16")


def test_a_model_without_grouped_heads_has_as_many_for_keys() -> None:
    assert facts_of_config({"model_type": "llama", "num_attention_heads": 32}) == ModelFacts(
        architecture="llama", attention_heads=32, kv_heads=32
    )


@pytest.mark.parametrize("key", ["quantization_config", "compression_config"])
def test_an_older_name_of_the_quantization_is_read(key: str) -> None:
    assert facts_of_config({key: {"quant_method": "compressed-tensors"}}).quantization == "compressed-tensors"


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"model_type": 3, "num_attention_heads": "32", "quantization_config": []},
        {"num_attention_heads": True, "text_config": None},
    ],
)
def test_what_is_missing_or_of_another_kind_is_unknown(config: dict[str, object]) -> None:
    assert facts_of_config(config) == ModelFacts()


@pytest.mark.parametrize("name", [one.name for one in shipped_for_tgi()])
def test_the_model_of_every_shipped_profile_is_known(name: str) -> None:
    (shipped,) = [one for one in shipped_for_tgi() if one.name == name]

    assert shipped.facts.architecture is not None
    assert shipped.facts.quantization == shipped.profile.engine.quantization


def test_a_plan_says_where_a_record_was_not_checked() -> None:
    checked, derived = known_model("meta-llama/Llama-3.1-8B-Instruct"), known_model(SCOUT_W4A16)

    assert checked is not None
    assert derived is not None
    assert checked.source == "recorded with this product"
    assert derived.source == "recorded with this product, not checked against the checkpoint"


def test_an_id_is_known_in_any_case() -> None:
    assert known_facts("META-LLAMA/llama-4-scout-17b-16e-instruct") is not None
    assert known_facts("someone/else") is None
    assert known_facts(None) is None
