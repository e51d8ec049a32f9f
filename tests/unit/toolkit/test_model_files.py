"""Chat templates and control tokens in each form in which publishers ship them."""

import json
from pathlib import Path

import pytest

from scout_deploy.errors import ModelFileError
from scout_deploy.model_facts import ModelFacts
from scout_deploy.model_files import ReadFile, facts_of_files, template_of_files
from scout_deploy.served_model import model_in_folder, reader
from scout_proxy.route_table import Template

PUBLISHED = Path(__file__).parents[2] / "data/model_files"


def files(**contents: object) -> ReadFile:
    """Read from these files; `tokenizer_config={...}` is `tokenizer_config.json`."""
    encoded = {f"{name}.json": json.dumps(content).encode() for name, content in contents.items()}
    return encoded.get


def added(text: str, *, special: bool) -> dict[str, object]:
    return {"content": text, "lstrip": False, "normalized": False, "special": special}


def test_role_tokens_that_their_publisher_does_not_call_special_are_control_tokens_too() -> None:
    template = template_of_files(reader(PUBLISHED / "deepseek-r1-distill"))

    assert template.chat_template is not None
    assert template.chat_template.startswith("{% if not add_generation_prompt is defined %}")
    assert (template.bos_token, template.eos_token) == ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>")
    assert template.special_tokens == (
        "<｜begin▁of▁sentence｜>",
        "<｜end▁of▁sentence｜>",
        "<｜Assistant｜>",
        "<｜User｜>",
    )


def test_tokens_of_the_decoder_count_and_the_longest_comes_first() -> None:
    decoder = {
        "0": added("<|eot|>", special=True),
        "1": added("<|begin_of_text|>", special=True),
        "2": added("<tool_call>", special=False),
    }

    template = template_of_files(
        files(
            tokenizer_config={
                "added_tokens_decoder": decoder,
                "chat_template": "{{ messages }}",
                "eos_token": "<|eot|>",
            }
        )
    )

    # The template writes no <tool_call>, so that it is only text.
    assert template.special_tokens == ("<|begin_of_text|>", "<|eot|>")
    assert (template.bos_token, template.eos_token) == ("", "<|eot|>")


def test_ordinary_words_and_spaces_that_are_tokens_of_their_own_stay_ordinary() -> None:
    tokens = [added("\n\n", special=False), added("user", special=False), added("[INST]", special=False)]

    template = template_of_files(
        files(tokenizer={"added_tokens": tokens}, tokenizer_config={"chat_template": "user\n\n[INST] {{ messages }}"})
    )

    assert template.special_tokens == ("[INST]",)


def test_begin_and_end_count_although_no_list_has_them() -> None:
    assert template_of_files(files(tokenizer_config={"bos_token": "<s>", "eos_token": "</s>"})).special_tokens == (
        "</s>",
        "<s>",
    )


def test_a_model_without_a_beginning_token_has_none() -> None:
    template = template_of_files(files(tokenizer_config={"bos_token": None, "eos_token": "<|im_end|>"}))

    assert (template.bos_token, template.eos_token) == ("", "<|im_end|>")


def test_of_several_named_templates_the_default_counts() -> None:
    named = [{"name": "tool_use", "template": "tools"}, {"name": "default", "template": "plain"}]

    assert template_of_files(files(tokenizer_config={"chat_template": named})).chat_template == "plain"
    assert template_of_files(files(tokenizer_config={"chat_template": named[:1]})).chat_template is None


def test_a_file_of_its_own_wins_over_the_value(tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text('{"chat_template": "old"}', encoding="utf-8")
    (tmp_path / "chat_template.json").write_text('{"chat_template": "newer"}', encoding="utf-8")
    assert template_of_files(reader(tmp_path)).chat_template == "newer"

    (tmp_path / "chat_template.jinja").write_text("newest: ü", encoding="utf-8")
    assert template_of_files(reader(tmp_path)).chat_template == "newest: ü"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"null", b'{"chat_template": 3, "bos_token": 7}'])
def test_a_file_that_cannot_be_used_is_as_if_it_were_not_there(content: bytes) -> None:
    assert template_of_files(lambda name: content if name.endswith(".json") else None) == Template()
    assert facts_of_files(lambda name: content if name == "config.json" else None) == ModelFacts()


@pytest.mark.parametrize("odd", [{"added_tokens_decoder": ["<s>"]}, {"added_tokens_decoder": {"0": "<s>", "1": {}}}])
def test_lists_of_another_shape_are_passed_over(odd: dict[str, object]) -> None:
    assert template_of_files(files(tokenizer_config=odd, tokenizer={"added_tokens": 5})).special_tokens == ()


def test_a_directory_is_served_from_below_the_weights_folder(tmp_path: Path) -> None:
    folder = tmp_path / "my-chat"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "llama"}', encoding="utf-8")

    model = model_in_folder(folder)

    assert model.weights.path == "/weights/my-chat"
    assert model.weights.mount.model_dump() == {
        "kind": "bind",
        "source": str(folder),
        "target": "/weights/my-chat",
        "read_only": True,
        "size_bytes": None,
    }
    assert model.weights.commit is None
    assert model.facts.architecture == "llama"


def test_what_is_no_models_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").touch()

    with pytest.raises(ModelFileError, match="does not exist"):
        model_in_folder(tmp_path / "missing")
    with pytest.raises(ModelFileError, match=r"model\.gguf is a file") as caught:
        model_in_folder(tmp_path / "model.gguf")
    assert "cpu-gguf" in str(caught.value.next_step)
    with pytest.raises(ModelFileError, match=r"has no config\.json"):
        model_in_folder(tmp_path)
