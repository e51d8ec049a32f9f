"""Where a model's tensors are read from; the hub is the real library against one on loopback."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from fakes.hub_server import COMMIT, HubServer
from fakes.recorded_models import SCOUT, TINY_CONFIG, TINY_TENSORS, safetensors
from scout_deploy.errors import DeployError, ModelFileError, WeightsError
from scout_deploy.fit.model import FitModel
from scout_deploy.hub import Hub
from scout_deploy.model_lookup import ModelLookup
from scout_deploy.profile.engine import Model

MODEL = "acme/small-chat"
CONFIG = json.dumps(TINY_CONFIG).encode()
WEIGHTS = safetensors(TINY_TENSORS)
# Deeper than any reader of JSON follows.
DEEP = b"[" * 100_000
SHARDS = {
    "config.json": CONFIG,
    "model.safetensors.index.json": json.dumps(
        {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    ).encode(),
    "model-00001-of-00002.safetensors": safetensors({"a": ("BF16", [4])}),
    "model-00002-of-00002.safetensors": safetensors({"b": ("BF16", [4, 4])}),
}


def headed(header: bytes) -> bytes:
    return len(header).to_bytes(8, "little") + header


@pytest.fixture
def server() -> Iterator[HubServer]:
    with HubServer() as running:
        yield running


@pytest.fixture
def hub(server: HubServer, tmp_path: Path) -> Hub:
    return Hub(cache=tmp_path / "hub", endpoint=server.endpoint, retry_pauses_s=())


def lookup(hub: Hub, tmp_path: Path, *, ask_hub: bool = True) -> ModelLookup:
    return ModelLookup(cache=tmp_path / "cache", hub=lambda: hub, ask_hub=ask_hub)


def find(hub: Hub, tmp_path: Path, model_id: str = MODEL) -> FitModel:
    found = lookup(hub, tmp_path).find(Model(id=model_id))
    assert found is not None
    return found


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def test_the_hub_is_asked_for_headers_alone(server: HubServer, hub: Hub, tmp_path: Path) -> None:
    server.add(MODEL, SHARDS)

    found = find(hub, tmp_path)

    assert {tensor.name for tensor in found.tensors} == {"a", "b"}
    assert found.shape.layers == 2
    asked = [one for name in SHARDS for one in server.contents_seen(name) if name.endswith(".safetensors")]
    assert asked
    assert {one.range for one in asked} == {"bytes=0-100000"}
    assert not list((tmp_path / "hub").rglob("*.safetensors"))


def test_what_was_seen_once_is_known_offline(server: HubServer, hub: Hub, tmp_path: Path) -> None:
    server.add(MODEL, SHARDS)
    first = find(hub, tmp_path)
    server.stop()

    again = find(hub, tmp_path)

    assert set(again.tensors) == set(first.tensors)
    assert again.shape == first.shape
    assert again.source.endswith("seen earlier; the hub does not answer, so that 'main' may have moved")


def test_a_branch_that_moved_is_read_anew_and_one_that_did_not_is_not(
    server: HubServer, hub: Hub, tmp_path: Path
) -> None:
    server.add(MODEL, SHARDS)
    find(hub, tmp_path)
    asked = len(server.contents_seen("model-00001-of-00002.safetensors"))

    same = find(hub, tmp_path)
    assert same.source.endswith("seen earlier")
    assert len(server.contents_seen("model-00001-of-00002.safetensors")) == asked

    server.add(MODEL, {"config.json": CONFIG, "model.safetensors": WEIGHTS}, commit="b" * 40)
    moved = find(hub, tmp_path)

    assert sum(tensor.copies for tensor in moved.tensors) == len(TINY_TENSORS)
    assert moved.source == "the hub's headers at commit bbbbbbbbbbbb"


def test_a_commit_cannot_move_and_is_not_asked_for_again(server: HubServer, hub: Hub, tmp_path: Path) -> None:
    server.add(MODEL, SHARDS)
    pinned = Model(id=MODEL, revision=COMMIT)
    lookup(hub, tmp_path).find(pinned)
    asked = len(server.seen)

    again = lookup(hub, tmp_path).find(pinned)

    assert again is not None
    assert len(server.seen) == asked


def test_weights_of_a_branch_that_moved_are_not_taken_for_it(server: HubServer, hub: Hub, tmp_path: Path) -> None:
    server.add(MODEL, {"config.json": CONFIG, "model.safetensors": WEIGHTS, "tokenizer.json": b"{}"})
    now = hub.resolve(MODEL)
    hub.download(now, now.files, lambda _: None)
    assert find(hub, tmp_path).source.startswith("the files in ")

    server.add(MODEL, SHARDS, commit="b" * 40)

    assert find(hub, tmp_path).source == "the hub's headers at commit bbbbbbbbbbbb"


def test_a_kept_answer_that_is_cut_short_is_asked_for_again(server: HubServer, hub: Hub, tmp_path: Path) -> None:
    server.add(MODEL, SHARDS)
    find(hub, tmp_path)
    (kept,) = (tmp_path / "cache/models").iterdir()
    kept.write_bytes(kept.read_bytes()[:100])

    assert not find(hub, tmp_path).source.endswith("seen earlier")


def test_weights_that_are_here_are_read_themselves(server: HubServer, hub: Hub, tmp_path: Path) -> None:
    server.add(MODEL, {"config.json": CONFIG, "model.safetensors": WEIGHTS, "tokenizer.json": b"{}"})
    now = hub.resolve(MODEL)
    hub.download(now, now.files, lambda _: None)
    server.stop()

    found = find(hub, tmp_path)

    assert found.stored_bytes == 256 * 64 * 2 + 128 * 64 * 2 + 64 * 4
    assert found.source.startswith("the files in ")


def test_a_shipped_model_needs_nobody(server: HubServer, hub: Hub, tmp_path: Path) -> None:
    assert find(hub, tmp_path, SCOUT).shape.architecture == "llama4"
    assert server.seen == []


def test_without_leave_to_ask_an_unknown_model_stays_unknown(server: HubServer, hub: Hub, tmp_path: Path) -> None:
    assert lookup(hub, tmp_path, ask_hub=False).find(Model(id=MODEL)) is None
    assert lookup(hub, tmp_path, ask_hub=False).find(Model()) is None
    assert server.seen == []


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"config.json": CONFIG, "pytorch_model.bin": b"1"}, (WeightsError, "holds no safetensors file")),
        (
            {"config.json": CONFIG, "model.safetensors": b"\5\0\0\0\0\0\0\0hello"},
            (WeightsError, "no usable safetensors"),
        ),
        ({"config.json": CONFIG, "model.safetensors": b"\5"}, (WeightsError, "no usable safetensors")),
        ({"config.json": b"{}", "model.safetensors": WEIGHTS}, (ModelFileError, "does not say")),
        ({"config.json": b"[]", "model.safetensors": WEIGHTS}, (WeightsError, "no JSON object")),
        ({"config.json": DEEP, "model.safetensors": WEIGHTS}, (WeightsError, "cannot be read as JSON")),
        ({"config.json": CONFIG, "model.safetensors": headed(DEEP)}, (WeightsError, "no usable safetensors file")),
        ({"model.safetensors": WEIGHTS}, (WeightsError, r"config\.json, which an engine needs, is not in")),
        (
            {"config.json": CONFIG, "model-00001-of-00002.safetensors": WEIGHTS},
            (WeightsError, "shard 2 of 2 is missing"),
        ),
        (
            {
                "config.json": CONFIG,
                "model.safetensors": WEIGHTS,
                "model.safetensors.index.json": b'{"weight_map": {"b": "model-2.safetensors"}}',
            },
            (WeightsError, r"names model-2\.safetensors, and there is no such file: the model is not complete"),
        ),
    ],
)
def test_what_cannot_be_planned_with_is_named(
    server: HubServer, hub: Hub, tmp_path: Path, files: dict[str, bytes], expected: tuple[type[DeployError], str]
) -> None:
    server.add(MODEL, files)
    kind, complaint = expected

    with pytest.raises(kind, match=complaint):
        find(hub, tmp_path)


def test_a_gated_model_says_how_to_get_access(server: HubServer, hub: Hub, tmp_path: Path) -> None:
    server.add(MODEL, SHARDS, gated=True)

    with pytest.raises(WeightsError, match="is gated") as caught:
        find(hub, tmp_path)

    assert "ask for access" in (caught.value.next_step or "")


def test_a_directory_is_read_by_its_index(hub: Hub, tmp_path: Path) -> None:
    folder = write(tmp_path / "model", {**SHARDS, "other.safetensors": WEIGHTS})

    found = lookup(hub, tmp_path).find(Model(path=str(folder)))

    assert found is not None
    assert {tensor.name for tensor in found.tensors} == {"a", "b"}


def test_of_two_layouts_in_a_directory_the_usual_one_counts(hub: Hub, tmp_path: Path) -> None:
    folder = write(
        tmp_path / "model", {"config.json": CONFIG, "model.safetensors": WEIGHTS, "consolidated.safetensors": WEIGHTS}
    )

    found = lookup(hub, tmp_path).find(Model(path=str(folder)))

    assert found is not None
    assert sum(tensor.copies for tensor in found.tensors) == len(TINY_TENSORS)


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({}, "cannot be read"),
        ({"config.json": CONFIG}, "holds no .safetensors file"),
        ({"config.json": b"[]", "model.safetensors": WEIGHTS}, "no JSON object"),
        ({"config.json": DEEP, "model.safetensors": WEIGHTS}, "cannot be read"),
        ({"config.json": CONFIG, "model.safetensors": headed(DEEP)}, "header of model.safetensors is damaged"),
        ({"config.json": CONFIG, "model.safetensors.index.json": DEEP}, "names no files"),
        ({"config.json": CONFIG, "model.safetensors": WEIGHTS[:20]}, "header of model.safetensors is damaged"),
        ({"config.json": CONFIG, "model.safetensors.index.json": b"{}"}, "names no files"),
        ({"config.json": CONFIG, "model.safetensors.index.json": b'{"weight_map": {"a": "../b"}}'}, "of this folder"),
        (
            {name: content for name, content in SHARDS.items() if name != "model-00002-of-00002.safetensors"},
            "names 1 files that are not there, such as model-00002",
        ),
    ],
)
def test_a_directory_that_cannot_be_planned_with_is_named(
    hub: Hub, tmp_path: Path, files: dict[str, bytes], complaint: str
) -> None:
    folder = write(tmp_path / "model", files)

    with pytest.raises(ModelFileError, match=complaint):
        lookup(hub, tmp_path).find(Model(path=str(folder)))
