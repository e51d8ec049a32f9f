import json

import pytest

from fakes.recorded_models import TINY_TENSORS, safetensors
from scout_deploy.fit.tensor import Tensor, UnusableFactsError, expand, gather, read_header, record_of_tensors


def header(entries: object) -> bytes:
    text = json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text


def test_the_tensors_of_a_file_are_in_its_header() -> None:
    embedding, _, norm = read_header(safetensors(TINY_TENSORS), file="model.safetensors")

    assert embedding == Tensor("model.embed_tokens.weight", "BF16", (256, 64))
    assert embedding.stored_bytes == 256 * 64 * 2
    assert norm.stored_bytes == 64 * 4


@pytest.mark.parametrize(
    ("start", "complaint"),
    [
        (b"", "no safetensors file"),
        (b"GGUF\3\0\0\0", "no safetensors file"),
        (b"\xff" * 8, "no safetensors file"),
        ((10).to_bytes(8, "little") + b"{{{{{{{{{{", "damaged"),
        (header([1]), "no JSON object"),
        (header({"a": {"dtype": "BF16"}}), "no type, shape or place"),
        (header({"a": {"dtype": "BF16", "shape": [-1], "data_offsets": [0, 2]}}), "no type, shape or place"),
        (header({"a": {"dtype": "Q9", "shape": [1], "data_offsets": [0, 2]}}), "unknown type 'Q9'"),
        (header({"a": {"dtype": "BF16", "shape": [2**50], "data_offsets": [0, 2]}}), "absurd shape"),
        (header({"a": {"dtype": "BF16", "shape": [4], "data_offsets": [0, 6]}}), "has 6 bytes"),
        (header({"a": {"dtype": "BF16", "shape": [4], "data_offsets": [0]}}), "make 8"),
    ],
)
def test_a_damaged_header_is_named(start: bytes, complaint: str) -> None:
    with pytest.raises(UnusableFactsError, match=complaint):
        read_header(start, file="model.safetensors")


def test_tensors_that_are_alike_are_kept_together() -> None:
    tensors = [Tensor(f"a.{layer}.b.{expert}.w", "BF16", (2, 3)) for layer in range(4) for expert in range(2)]

    together = gather([*tensors, Tensor("norm", "F32", (2,))])

    assert together == (Tensor("a.0.b.0.w", "BF16", (2, 3), 8), Tensor("norm", "F32", (2,)))
    assert together[0].stored_bytes == 8 * 2 * 3 * 2
    assert record_of_tensors(together) == {"a.0.b.0.w x8": ["BF16", 2, 3], "norm": ["F32", 2]}
    assert tuple(expand(record_of_tensors(together))) == together
    assert tuple(expand({"a.{0..3}.b.{0..1}.w": ["BF16", 2, 3], "norm": ["F32", 2]})) == together


@pytest.mark.parametrize("record", [{"a": [2, 3]}, {"a": ["BF16", "2"]}, {"a": ["BF16", -2]}, {"a": ["Q9", 2]}])
def test_a_record_of_another_form_is_refused(record: dict[str, list[object]]) -> None:
    with pytest.raises(UnusableFactsError):
        list(expand(record))
