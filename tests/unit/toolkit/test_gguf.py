"""What the toolkit reads of a GGUF file, and what it says of one that is none."""

import contextlib
import os
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakes.gguf_writer import F32, TINY_METADATA, TINY_TENSORS, gguf_bytes, write_tiny_model
from scout_deploy.errors import ModelFileError
from scout_deploy.gguf.facts import read_gguf
from scout_deploy.model_file import demonstration_model

_TINY = gguf_bytes(TINY_METADATA, TINY_TENSORS)


def _error(path: Path) -> ModelFileError:
    with pytest.raises(ModelFileError) as caught:
        read_gguf(path)
    return caught.value


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_the_facts_of_a_model(tmp_path: Path) -> None:
    facts = read_gguf(write_tiny_model(tmp_path / "tiny.gguf"))

    assert (facts.architecture, facts.name, facts.context_length, facts.quantization) == (
        "llama4",
        "tiny",
        8192,
        "Q8_0",
    )
    assert (facts.bos_token_id, facts.bos_token, facts.eos_token_id, facts.eos_token) == (2, "<|begin|>", 3, "<|eot|>")
    assert (facts.adds_bos, facts.vocabulary_size) == (True, 7)
    assert (facts.parameter_count, facts.tensor_bytes) == (64 * 10 + 64, 64 * 10 // 32 * 34 + 64 * 4)
    assert facts.chat_template == TINY_METADATA["tokenizer.chat_template"]
    assert (facts.scalars["llama4.block_count"], facts.scalars["llama4.rope.freq_base"]) == (2, 500000.0)
    assert facts.parts == (facts.path,)


def test_special_tokens_are_control_tokens_and_what_the_template_writes(tmp_path: Path) -> None:
    facts = read_gguf(write_tiny_model(tmp_path / "tiny.gguf"))

    assert facts.special_tokens == ("<|eot|>extra", "<|begin|>", "<|eot|>", "<tool>")


def test_version_2_is_read_too(tmp_path: Path) -> None:
    path = _written(tmp_path / "v2.gguf", gguf_bytes(TINY_METADATA, TINY_TENSORS, version=2))

    assert read_gguf(path).version == 2


def test_what_a_file_does_not_say_is_none(tmp_path: Path) -> None:
    path = _written(tmp_path / "bare.gguf", gguf_bytes({"general.architecture": "llama"}, {"w": ((4,), F32)}))

    facts = read_gguf(path)

    assert (facts.name, facts.context_length, facts.quantization, facts.chat_template) == (None, None, None, None)
    assert (facts.bos_token, facts.eos_token, facts.adds_bos, facts.vocabulary_size) == (None, None, None, None)
    assert facts.special_tokens == ()


def test_metadata_of_another_kind_than_expected_is_not_taken(tmp_path: Path) -> None:
    strange = {
        "general.name": 7,
        "llama4.context_length": "long",
        "tokenizer.ggml.bos_token_id": 99,
        "tokenizer.ggml.tokens": [1, 2],
        "tokenizer.ggml.add_bos_token": 1,
    }

    facts = read_gguf(write_tiny_model(tmp_path / "strange.gguf", strange))

    assert (facts.name, facts.context_length, facts.bos_token, facts.adds_bos) == (None, None, None, None)
    assert facts.special_tokens == ()


def test_a_storage_type_newer_than_the_table_is_no_error(tmp_path: Path) -> None:
    content = gguf_bytes({"general.architecture": "llama"}, {"w": ((1024,), 250)})
    path = _written(tmp_path / "new.gguf", content)

    facts = read_gguf(path)

    assert (facts.parameter_count, facts.tensor_bytes) == (1024, 1024)


def test_the_demonstration_model_is_read() -> None:
    facts = read_gguf(demonstration_model())

    assert facts.architecture == "llama4"
    assert {"<|begin_of_text|>", "<|eot|>"} <= set(facts.special_tokens)
    assert facts.chat_template


def test_a_vocabulary_of_200_thousand_is_read(tmp_path: Path) -> None:
    tokens = [f"token{number}" for number in range(200_000)]
    types = [1] * 199_000 + [3] * 1_000
    path = write_tiny_model(
        tmp_path / "large.gguf",
        {"tokenizer.ggml.tokens": tokens, "tokenizer.ggml.token_type": types, "tokenizer.ggml.merges": tokens},
    )

    facts = read_gguf(path)

    assert len(facts.special_tokens) == 1_000


# --- split models


def _split(folder: Path, *, parts: int, metadata: bool = True) -> list[Path]:
    paths = []
    for number in range(parts):
        extra: dict[str, object] = {"split.no": number, "split.count": parts} if metadata else {}
        paths.append(write_tiny_model(folder / f"m-{number + 1:05}-of-{parts:05}.gguf", extra))
    return paths


@pytest.mark.parametrize("metadata", [True, False])
def test_a_split_model_is_counted_over_all_its_parts(tmp_path: Path, metadata: bool) -> None:
    parts = _split(tmp_path, parts=3, metadata=metadata)

    facts = read_gguf(parts[0])

    assert facts.parts == tuple(parts)
    assert facts.parameter_count == 3 * (64 * 10 + 64)


def test_a_part_that_is_not_the_first_names_the_first(tmp_path: Path) -> None:
    parts = _split(tmp_path, parts=3)

    error = _error(parts[1])

    assert error.message == f"{parts[1]}: is part 2 of a model in 3 files"
    assert error.next_step == f"Name the first: {parts[0]}"


def test_missing_parts_are_named(tmp_path: Path) -> None:
    parts = _split(tmp_path, parts=3)
    parts[2].unlink()

    assert _error(parts[0]).message == (
        f"{parts[0]}: is the first of 3 files, of which 1 are missing: m-00003-of-00003.gguf"
    )


def test_a_renamed_part_is_told_its_name(tmp_path: Path) -> None:
    path = write_tiny_model(tmp_path / "renamed.gguf", {"split.no": 0, "split.count": 2})

    error = _error(path)

    assert error.message == f"{path}: is part 1 of a model in 2 files, and is not named so"
    assert error.next_step == "Give the files their published names, which end in -00001-of-00002.gguf."


# --- what is no model


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a Git LFS pointer and not the file itself"),
        (b"<!DOCTYPE html><html>", "is a web page and not a model"),
        (b"PK\x03\x04" + bytes(100), "is a PyTorch or zip file"),
        (b"tjgg" + bytes(100), "is in a format older than GGUF"),
        (b"hello", "is not a usable GGUF model file: it does not begin with the letters GGUF"),
        (b"GGUF", "it ends within its header, after 4 bytes; it was most likely cut short"),
        (b"GGUF" + struct.pack("<I", 1) + bytes(64), "it has GGUF version 1; little-endian versions 2 and 3 are known"),
        (b"GGUF" + struct.pack(">I", 3) + bytes(64), "it is big-endian"),
        (b"GGUF" + struct.pack("<IQQ", 3, 2**63, 0), "it claims to have 9223372036854775808 tensors"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 2**40), "it claims to have 1099511627776 metadata keys"),
        (gguf_bytes({"general.name": "x"}, TINY_TENSORS), "names no architecture (general.architecture)"),
        (gguf_bytes({"general.architecture": "llama"}, {}), "holds no weights"),
        (gguf_bytes({**TINY_METADATA, "general.alignment": 0}, TINY_TENSORS), "it has the impossible alignment 0"),
        (gguf_bytes(TINY_METADATA, {"w": ((1, 1, 1, 1, 1), F32)}), "it has a tensor of 5 dimensions"),
        (gguf_bytes(TINY_METADATA, {"w": ((33,), 8)}), "rows of 33 numbers, which blocks of 32 do not divide"),
        (_TINY[:-1], f"has {len(_TINY) - 1:,} bytes where its tensors need {len(_TINY):,}"),
    ],
)
def test_files_that_are_no_models_are_explained(tmp_path: Path, content: bytes, words: str) -> None:
    path = _written(tmp_path / "model.gguf", content)

    error = _error(path)

    assert error.message.startswith(f"{path}: ")
    assert words in error.message
    assert error.next_step


def test_a_missing_file_a_directory_and_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    assert "there is no such file" in _error(tmp_path / "missing.gguf").message
    assert "is a directory" in _error(tmp_path).message
    assert "is not a regular file" in _error(tmp_path / "pipe").message


def _array(kind: int, count: int, rest: bytes = b"") -> bytes:
    key = struct.pack("<Q", 1) + b"k"
    return b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + key + struct.pack("<IIQ", 9, kind, count) + rest


@pytest.mark.parametrize(
    "content",
    [
        _array(8, 2**62),
        _array(8, 3_999_999),
        _array(4, 2**62),
        _array(9, 2**62),
        _array(9, 1, struct.pack("<IQ", 9, 1) * 50),
        _array(8, 1, struct.pack("<Q", 2**64 - 1)),
        _array(77, 1),
    ],
)
def test_hostile_counts_are_refused(tmp_path: Path, content: bytes) -> None:
    path = _written(tmp_path / "hostile.gguf", content)

    assert "is not a usable GGUF model file" in _error(path).message


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
@given(length=st.integers(0, len(_TINY) - 1))
def test_a_file_cut_anywhere_is_an_error_and_no_crash(tmp_path: Path, length: int) -> None:
    _error(_written(tmp_path / "cut.gguf", _TINY[:length]))


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None, max_examples=300
)
@given(changes=st.lists(st.tuples(st.integers(4, len(_TINY) - 1), st.integers(0, 255)), min_size=1, max_size=8))
def test_a_damaged_file_is_read_or_explained(tmp_path: Path, changes: list[tuple[int, int]]) -> None:
    content = bytearray(_TINY)
    for position, value in changes:
        content[position] = value

    with contextlib.suppress(ModelFileError):
        read_gguf(_written(tmp_path / "damaged.gguf", bytes(content)))
