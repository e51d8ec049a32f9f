"""What a checksum cannot tell: the owners may publish damage."""

import json
import struct
from pathlib import Path

import pytest

from fakes.safetensors_file import safetensors_file
from scout_deploy.errors import WeightsError
from scout_deploy.weights.soundness import check_snapshot

WHOLE = safetensors_file(2000)
INDEX = "model.safetensors.index.json"


def folder_of(folder: Path, files: dict[str, bytes]) -> Path:
    for name, contents in files.items():
        (folder / name).write_bytes(contents)
    return folder


def test_whole_files_and_no_weights_at_all_are_fine(tmp_path: Path) -> None:
    check_snapshot(tmp_path)
    index = json.dumps({"weight_map": {"noise": "model.safetensors"}}).encode()

    check_snapshot(folder_of(tmp_path, {INDEX: index, "model.safetensors": WHOLE, "config.json": b"{"}))


@pytest.mark.parametrize(
    ("contents", "problem"),
    [
        (b"", "its header cannot be read"),
        (b"\0" * 8, "its header would be longer than the file, or than any header is"),
        (b"GGUF\3\0\0\0" + bytes(100), "its header would be longer than the file, or than any header is"),
        (struct.pack("<Q", 4) + b"oops" + bytes(9), "its header cannot be read"),
        (struct.pack("<Q", 4) + b"[{}]", "its header cannot be read"),
        (struct.pack("<Q", 100_000) + b"[" * 100_000, "its header cannot be read"),
        (struct.pack("<Q", 10) + b'{"a":[12]}', "its header cannot be read"),
        (WHOLE[:-1], r"its header speaks of \d+ bytes of tensors, and it has \d+"),
        (WHOLE + b"\0", r"its header speaks of \d+ bytes of tensors, and it has \d+"),
    ],
)
def test_a_file_that_no_engine_could_read_is_named(tmp_path: Path, contents: bytes, problem: str) -> None:
    folder_of(tmp_path, {"model.safetensors": contents})

    with pytest.raises(WeightsError, match=f"model.safetensors is not a readable safetensors file: {problem}"):
        check_snapshot(tmp_path)


def test_an_index_that_names_missing_shards_is_not_complete(tmp_path: Path) -> None:
    shards = {"a": "model-1.safetensors", "b": "model-2.safetensors", "c": "model-3.safetensors"}
    index = json.dumps({"weight_map": shards}).encode()
    folder_of(tmp_path, {INDEX: index, "model-1.safetensors": WHOLE})

    with pytest.raises(WeightsError, match=r"names model-2\.safetensors and 1 more, and there is no such file"):
        check_snapshot(tmp_path)


@pytest.mark.parametrize("index", [b"{", b"[]", b'{"weight_map": 7}', b"[" * 100_000])
def test_an_index_that_is_none_is_named(tmp_path: Path, index: bytes) -> None:
    with pytest.raises(WeightsError, match=r"model\.safetensors\.index\.json is not an index of weights"):
        check_snapshot(folder_of(tmp_path, {INDEX: index}))
