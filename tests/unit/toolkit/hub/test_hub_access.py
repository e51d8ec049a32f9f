"""Who may have what, and what is said where the hub cannot be asked."""

import socket
from pathlib import Path

import pytest

from fakes.hub_server import HubServer
from fakes.small_model import FILES, MODEL, OPERATOR, assert_whole, ignore
from scout_deploy.errors import WeightsError
from scout_deploy.hub import Hub
from scout_deploy.weights.failures import HubUnreachableError
from scout_deploy.weights.obtain import obtain


def with_token(server: HubServer, cache: Path, token: str = OPERATOR) -> Hub:
    return Hub(cache=cache, endpoint=server.endpoint, token=token, retry_pauses_s=(0, 0))


def test_a_gated_model_without_token_says_where_to_ask(hub: Hub, server: HubServer) -> None:
    server.add("acme/gated", FILES, gated=True)

    assert hub.resolve("acme/gated").gated
    with pytest.raises(WeightsError, match=r"acme/gated is gated.*no token was given") as caught:
        obtain(hub, "acme/gated", "main", ignore)

    assert "https://huggingface.co/acme/gated" in str(caught.value.next_step)


def test_a_gated_model_with_the_token_of_somebody_else(server: HubServer, cache: Path) -> None:
    server.add("acme/gated", FILES, gated=True)

    with pytest.raises(WeightsError, match="the account of your token has no access") as caught:
        obtain(with_token(server, cache), "acme/gated", "main", ignore)

    assert OPERATOR not in f"{caught.value.message} {caught.value.next_step} {caught.value.evidence}"


def test_a_gated_model_comes_with_the_right_token_which_only_the_hub_sees(server: HubServer, cache: Path) -> None:
    server.add("acme/gated", FILES, gated=True).members.add(OPERATOR)

    assert_whole(obtain(with_token(server, cache), "acme/gated", "main", ignore))

    assert {one.token for one in server.seen if one.at == "hub"} == {OPERATOR}
    assert {one.token for one in server.seen if one.at == "storage"} == {None}


def test_a_wrong_token_is_named_and_not_shown(server: HubServer, cache: Path) -> None:
    with pytest.raises(WeightsError, match="refuses your token") as caught:
        with_token(server, cache, "hf_revoked").resolve(MODEL)

    assert "hf_revoked" not in f"{caught.value.message} {caught.value.next_step} {caught.value.evidence}"


def test_a_text_that_is_no_token_is_refused_without_showing_it(cache: Path) -> None:
    with pytest.raises(WeightsError, match="is not a token") as caught:
        Hub(cache=cache, token=f"{OPERATOR}\n{OPERATOR}")

    assert OPERATOR not in f"{caught.value.message} {caught.value.next_step}"


@pytest.mark.parametrize("token", [None, OPERATOR])
def test_an_unknown_repository_may_be_a_private_one(server: HubServer, cache: Path, token: str | None) -> None:
    hub = Hub(cache=cache, endpoint=server.endpoint, token=token)

    with pytest.raises(WeightsError, match=r"no repository 'acme/nothing'.*private") as caught:
        hub.resolve("acme/nothing")

    assert "spelling" in str(caught.value.next_step)


def test_an_unknown_revision_is_named(hub: Hub) -> None:
    with pytest.raises(WeightsError, match="acme/small-chat has no revision 'v9'"):
        hub.resolve(MODEL, "v9")


def test_a_name_that_no_repository_can_have_is_refused(hub: Hub) -> None:
    with pytest.raises(WeightsError, match="cannot be the name of a repository"):
        hub.resolve("a/b/c")


def test_without_network_the_address_and_the_variables_are_named(cache: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{unused.getsockname()[1]}"

        with pytest.raises(HubUnreachableError, match="Connection refused") as caught:
            obtain(Hub(cache=cache, endpoint=endpoint), MODEL, "main", ignore)

    assert endpoint in caught.value.message
    assert "HF_ENDPOINT" in str(caught.value.next_step)


def test_an_address_with_a_password_is_shown_without_it(cache: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        Hub(cache=cache, endpoint="http://user:secret@127.0.0.1:1/mirror").resolve(MODEL)

    assert "http://127.0.0.1:1/mirror" in caught.value.message
    assert "secret" not in caught.value.message


def test_an_endpoint_that_is_no_address_is_named(cache: Path) -> None:
    with pytest.raises(WeightsError, match=r"hub\.local does not answer as a hub does: this is not an address"):
        Hub(cache=cache, endpoint="hub.local").resolve(MODEL)
