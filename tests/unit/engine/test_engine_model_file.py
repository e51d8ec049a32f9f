"""Model files: what is read of a sound one, and how a bad one is refused."""

from pathlib import Path

import pytest

from scout_engine.arguments import DEMO_MODEL
from scout_engine.errors import ModelFileError
from scout_engine.gguf import read_metadata
from scout_engine.vocabulary import Vocabulary


def test_the_demonstration_model_is_llama_4() -> None:
    metadata = read_metadata(DEMO_MODEL)

    assert metadata.text("general.architecture") == "llama4"
    assert metadata.context_length is not None
    assert metadata.text("tokenizer.chat_template")
    assert metadata.flag("tokenizer.ggml.add_bos_token", default=False) is True


@pytest.mark.parametrize("kept", [5, 20, 1_000, 60_000, 1_000_000])
def test_a_file_that_was_cut_off_is_refused(tmp_path: Path, kept: int) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(DEMO_MODEL.read_bytes()[:kept])

    with pytest.raises(ModelFileError, match=r"cut.gguf .* is damaged or cut off"):
        read_metadata(cut)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not GGUF: it starts with b''"),
        (b"version https://git-lfs.github.com/spec/v1", "is not GGUF: it starts with b'vers'"),
        (b"GGUF\x01\x00\x00\x00" + bytes(32), "is GGUF version 1"),
        (b"GGUF\x03\x00\x00\x00" + b"\xff" * 32, "a tensor count of .* cannot be right"),
        (b"GGUF\x03\x00\x00\x00" + bytes(64), "it holds no tensors"),
    ],
)
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(content)

    with pytest.raises(ModelFileError, match=message):
        read_metadata(path)


def test_a_missing_file_and_a_directory_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"missing.gguf does not exist; check the path"):
        read_metadata(tmp_path / "missing.gguf")
    with pytest.raises(ModelFileError, match="is a directory"):
        read_metadata(tmp_path)


def test_pieces_put_a_text_together_again(vocabulary: Vocabulary) -> None:
    tokens = [vocabulary.ids[bytes([byte])] for byte in "héllo 世界".encode()]

    assert b"".join(vocabulary.pieces[token] for token in tokens).decode() == "héllo 世界"


def test_special_tokens_have_names(vocabulary: Vocabulary) -> None:
    assert vocabulary.name(vocabulary.bos) == "<|begin_of_text|>"
    assert vocabulary.bos in vocabulary.special


def test_offsets_leave_out_what_the_tokenizer_added(vocabulary: Vocabulary) -> None:
    first, second = vocabulary.ids[b"H"], vocabulary.ids[b"i"]

    assert vocabulary.bos is not None
    assert list(vocabulary.offsets([vocabulary.bos, first, second], b"Hi")) == [(0, 0), (0, 1), (1, 2)]
