"""A made-up repository of the hub, in two shards, beside what no engine needs."""

import json
from pathlib import Path

from fakes.safetensors_file import safetensors_file
from scout_deploy.weights.repository import DownloadProgress

MODEL = "acme/small-chat"
OPERATOR = "hf_operator"
SHARD = 700_000
FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
FILES = {
    "config.json": b'{"architectures": ["LlamaForCausalLM"]}',
    "tokenizer.json": b"{}",
    "model.safetensors.index.json": json.dumps({"weight_map": {"a": FIRST, "b": SECOND}}).encode(),
    FIRST: safetensors_file(SHARD, seed=251),
    SECOND: safetensors_file(SHARD, seed=241),
    "pytorch_model.bin": b"the same again",
    "README.md": b"# A model",
}
FETCHED = set(FILES) - {"pytorch_model.bin", "README.md"}
TOTAL = sum(len(FILES[path]) for path in FETCHED)


def assert_whole(snapshot: Path) -> None:
    assert {path.name: path.read_bytes() for path in snapshot.iterdir()} == {path: FILES[path] for path in FETCHED}


def ignore(now: DownloadProgress) -> None:
    """Progress, where a test is about something else."""
