import pytest

from scout_deploy.errors import WeightsError
from scout_deploy.weights.files import needed_files
from scout_deploy.weights.repository import RepoFile


def chosen(*paths: str, with_code: bool = False) -> set[str]:
    files = [RepoFile(path=path, size_bytes=1) for path in paths]
    return {file.path for file in needed_files("acme/model", files, with_code=with_code)}


LLAMA = (
    ".gitattributes",
    "LICENSE",
    "README.md",
    "USE_POLICY.md",
    "chat_template.jinja",
    "config.json",
    "generation_config.json",
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
    "model.safetensors.index.json",
    "original/consolidated.00.pth",
    "original/params.json",
    "original/tokenizer.model",
    "preprocessor_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
)


def test_of_a_llama_repository_come_the_shards_the_tokenizer_and_the_configs() -> None:
    assert chosen(*LLAMA) == {
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
        "preprocessor_config.json",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer.model",
        "tokenizer_config.json",
    }


def test_the_same_weights_in_other_formats_stay_away() -> None:
    same = (
        "pytorch_model.bin",
        "pytorch_model.bin.index.json",
        "tf_model.h5",
        "flax_model.msgpack",
        "m.gguf",
        "m.onnx",
    )

    assert chosen("config.json", "model.safetensors", *same) == {"config.json", "model.safetensors"}


def test_mistrals_second_copy_stays_away_with_its_index() -> None:
    paths = ("model-00001-of-00001.safetensors", "model.safetensors.index.json", "tokenizer.model.v3")

    assert chosen(*paths, "consolidated.safetensors", "consolidated.safetensors.index.json") == set(paths)


def test_an_adapter_beside_the_model_stays_away() -> None:
    assert chosen("adapter_model.safetensors", "model.safetensors") == {"model.safetensors"}


def test_of_the_whole_and_its_shards_come_the_shards() -> None:
    shards = {"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"}

    assert chosen("model.safetensors", *shards) == shards


def test_weights_under_another_name_are_found() -> None:
    paths = {"gptq_model-4bit-128g.safetensors", "config.json"}

    assert chosen(*paths) == paths


def test_the_weights_that_have_an_index_are_preferred() -> None:
    index = {"weights-00001-of-00001.safetensors", "weights.safetensors.index.json"}

    assert chosen("a.safetensors", *index) == index


def test_training_arguments_are_no_weights() -> None:
    assert chosen("model.safetensors", "training_args.safetensors") == {"model.safetensors"}


def test_the_models_own_code_comes_only_when_asked_for() -> None:
    assert chosen("model.safetensors", "modeling_x.py") == {"model.safetensors"}
    assert chosen("model.safetensors", "modeling_x.py", with_code=True) == {"model.safetensors", "modeling_x.py"}


def test_small_files_come_first_and_the_shards_in_their_order() -> None:
    files = [
        RepoFile(path="model-00002-of-00002.safetensors", size_bytes=5),
        RepoFile(path="tokenizer.json", size_bytes=900),
        RepoFile(path="model-00001-of-00002.safetensors", size_bytes=9),
        RepoFile(path="config.json", size_bytes=7),
    ]

    assert [file.path for file in needed_files("acme/model", files)] == [
        "config.json",
        "tokenizer.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    ]


def test_a_missing_shard_is_named() -> None:
    with pytest.raises(WeightsError, match="acme/model is not complete: shard 2 of 3 is missing"):
        chosen("model-00001-of-00003.safetensors", "model-00003-of-00003.safetensors")


def test_shards_of_two_sets_are_refused() -> None:
    with pytest.raises(WeightsError, match="its shards are of two sets"):
        chosen(
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
            "model-00001-of-00001.safetensors",
        )


def test_a_repository_with_pickles_alone_is_refused() -> None:
    with pytest.raises(WeightsError, match=r"holds no safetensors file, only \.bin"):
        chosen("config.json", "pytorch_model.bin")


def test_a_repository_of_gguf_files_names_the_engine_that_serves_them() -> None:
    with pytest.raises(WeightsError, match="GGUF") as caught:
        chosen("model-Q4_K_M.gguf")

    assert "embedded" in str(caught.value.next_step)


def test_weights_in_a_folder_are_not_seen_by_the_engine() -> None:
    with pytest.raises(WeightsError, match="holds no safetensors file in its top folder"):
        chosen("config.json", "fp16/model.safetensors")
