"""Where a profile's model comes from; the hub is the real library against one on loopback."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.hub_server import COMMIT, HubServer
from fakes.safetensors_file import safetensors_file
from scout_deploy.errors import DeployError, ModelFileError, WeightsError
from scout_deploy.hub import Hub
from scout_deploy.model_facts import ModelFacts
from scout_deploy.model_sources import CacheSource, FolderSource, ModelSource, model_source
from scout_deploy.profile.profile import Profile
from scout_deploy.progress import Progress, Teller
from scout_proxy.route_table import Template

MODEL = "acme/small-chat"
MOUNT = "/weights/models--acme--small-chat"
FILES = {
    "config.json": json.dumps({"model_type": "llama", "num_attention_heads": 8}).encode(),
    "tokenizer.json": b"{}",
    "tokenizer_config.json": b'{"chat_template": "{{ messages }}"}',
    "model.safetensors": safetensors_file(3000),
}
LLAMA = ModelFacts(architecture="llama", attention_heads=8, kv_heads=8)


@pytest.fixture
def server() -> Iterator[HubServer]:
    with HubServer() as running:
        running.add(MODEL, FILES)
        yield running


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "hub"


@pytest.fixture
def hub(server: HubServer, cache: Path) -> Hub:
    return Hub(cache=cache, endpoint=server.endpoint, retry_pauses_s=())


def source(hub: Hub, cache: Path, *, ask_hub: bool = True, model_id: str = MODEL) -> CacheSource:
    return CacheSource(model_id=model_id, revision="main", cache=cache, hub=lambda: hub, ask_hub=ask_hub)


def test_before_its_weights_are_here_a_model_is_known_by_its_published_config(hub: Hub, cache: Path) -> None:
    expected = source(hub, cache).expect()

    assert expected.facts == LLAMA
    assert expected.weights.commit is None
    assert expected.weights.path == f"{MOUNT}/snapshots/COMMIT"
    assert expected.template == Template()


def test_a_plan_alone_asks_nobody(server: HubServer, hub: Hub, cache: Path) -> None:
    expected = source(hub, cache, ask_hub=False).expect()

    assert expected.facts == ModelFacts()
    assert server.seen == []


def test_a_known_model_is_recognised_without_network(server: HubServer, hub: Hub, cache: Path) -> None:
    server.stop()

    expected = source(hub, cache, model_id="meta-llama/Llama-4-Scout-17B-16E-Instruct").expect()

    assert expected.facts.architecture == "llama4"


def test_a_model_that_does_not_exist_is_said_before_anything_is_pulled(hub: Hub, cache: Path) -> None:
    with pytest.raises(WeightsError, match="acme/none"):
        source(hub, cache, model_id="acme/none").expect()


def test_a_config_with_absurd_numbers_is_refused_before_the_weights_come(
    server: HubServer, hub: Hub, cache: Path
) -> None:
    server.add(MODEL, FILES | {"config.json": b'{"model_type": "llama", "num_attention_heads": -3}'})

    with pytest.raises(
        ModelFileError, match=r"acme/small-chat: its config\.json says num_attention_heads: -3, which no"
    ):
        source(hub, cache).expect()

    assert server.contents_seen("model.safetensors") == []


def test_weights_are_fetched_and_served_from_their_commit(hub: Hub, cache: Path) -> None:
    told: list[Progress] = []

    served = source(hub, cache).provide(Teller(told.append, lambda: 0.0))

    assert served.weights.path == f"{MOUNT}/snapshots/{COMMIT}"
    assert served.weights.commit == COMMIT
    # Whole, because a snapshot's files are links into the folder beside it.
    assert (served.weights.mount.source, served.weights.mount.target, served.weights.mount.read_only) == (
        str(cache / "models--acme--small-chat"),
        MOUNT,
        True,
    )
    assert served.facts == LLAMA
    assert served.template.chat_template == "{{ messages }}"
    assert {one.phase for one in told} == {"fetch weights"}
    assert told[-1].percent == 100


def test_what_is_on_this_disk_is_served_with_the_hub_gone(server: HubServer, hub: Hub, cache: Path) -> None:
    first = source(hub, cache).provide(Teller(lambda _: None, lambda: 0.0))
    server.stop()

    assert source(hub, cache).expect() == first
    assert source(hub, cache).provide(Teller(lambda _: None, lambda: 0.0)) == first


def test_a_directory_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(FILES["config.json"])
    told: list[Progress] = []

    own = FolderSource(tmp_path)

    assert own.expect() == own.provide(Teller(told.append, lambda: 0.0))
    assert [(one.phase, one.detail) for one in told] == [("fetch weights", f"{tmp_path}, as it is")]


def profile(**model: str) -> Profile:
    return Profile.model_validate(
        {"model": model, "engine": {"kind": "tgi", "version": "3.3.7"}, "hardware": {"gpu_count": 1}}
    )


def chosen(hub: Hub, cache: Path, wanted: Profile, *, is_local: bool) -> ModelSource:
    def remote(model_id: str, revision: str) -> ModelSource:
        return FolderSource(Path(f"/remote/{model_id}@{revision}"))

    return model_source(wanted, is_local=is_local, cache=cache, hub=lambda: hub, ask_hub=True, remote=remote)


def test_each_profile_has_its_source(hub: Hub, cache: Path) -> None:
    by_id, by_path = profile(id=MODEL), profile(path="/models/chat")
    pinned = profile(id=MODEL, revision="v1")

    found = chosen(hub, cache, by_id, is_local=True)
    assert isinstance(found, CacheSource)
    assert (found.model_id, found.revision, found.cache, found.ask_hub) == (MODEL, "main", cache, True)
    assert chosen(hub, cache, by_path, is_local=True) == FolderSource(Path("/models/chat"))
    assert chosen(hub, cache, pinned, is_local=False) == FolderSource(Path(f"/remote/{MODEL}@v1"))


def test_a_directory_of_this_machine_is_no_use_to_another_docker_host(hub: Hub, cache: Path) -> None:
    with pytest.raises(DeployError, match="/models/chat is a directory of this machine") as caught:
        chosen(hub, cache, profile(path="/models/chat"), is_local=False)

    assert "model/id" in str(caught.value.next_step)
