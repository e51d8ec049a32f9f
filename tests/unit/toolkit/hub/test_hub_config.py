"""A model's config, read without its weights."""

import pytest

from fakes.hub_server import HubServer
from fakes.small_model import FILES, FIRST, MODEL, ignore
from scout_deploy.errors import WeightsError
from scout_deploy.hub import Hub
from scout_deploy.weights.failures import HubUnreachableError
from scout_deploy.weights.obtain import obtain


def test_the_config_is_read_alone(hub: Hub, server: HubServer) -> None:
    assert hub.read_config(MODEL) == {"architectures": ["LlamaForCausalLM"]}
    assert server.contents_seen(FIRST) == []


def test_a_config_that_was_seen_is_read_without_network(hub: Hub, server: HubServer) -> None:
    hub.read_config(MODEL)
    server.stop()

    assert hub.read_config(MODEL) == {"architectures": ["LlamaForCausalLM"]}
    with pytest.raises(HubUnreachableError):
        hub.read_config("acme/other")


def test_reading_a_newer_config_does_not_hide_the_weights_that_are_there(hub: Hub, server: HubServer) -> None:
    snapshot = obtain(hub, MODEL, "main", ignore)
    server.add(MODEL, {**FILES, "config.json": b"{}"}, commit="b" * 40)

    assert hub.read_config(MODEL) == {}
    assert hub.find_cached(MODEL, "main") == snapshot


@pytest.mark.parametrize("text", [b"{", b"[]"])
def test_a_config_that_is_no_json_object_is_an_error(hub: Hub, server: HubServer, text: bytes) -> None:
    server.add("acme/broken", {"config.json": text})

    with pytest.raises(WeightsError, match=r"config\.json"):
        hub.read_config("acme/broken")


def test_a_repository_without_config_is_an_error(hub: Hub, server: HubServer) -> None:
    server.add("acme/bare", {"README.md": b""})

    with pytest.raises(WeightsError, match=r"config\.json, which an engine needs, is not in acme/bare"):
        hub.read_config("acme/bare")
