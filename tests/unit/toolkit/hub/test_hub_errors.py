"""What failures of HTTP and of the disk are called, made as requests and urllib3 make them."""

import errno
import os
import socket
from pathlib import Path

import pytest
import requests

from scout_deploy.errors import WeightsError
from scout_deploy.hub_errors import Explainer
from scout_deploy.weights.failures import HubUnreachableError

HUB = "https://hub.example"
OPERATOR = "hf_operator"


def explained(error: BaseException, token: str = "") -> WeightsError:
    return Explainer(endpoint=HUB, token=token, folder=Path("/data/hub")).explain(error, "acme/model")


def answer(status: int, url: str = f"{HUB}/api/models/acme/model") -> requests.HTTPError:
    response = requests.Response()
    response.status_code = status
    response.url = url
    response.reason = f"said {OPERATOR}"
    return requests.HTTPError(response=response)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_called_full(code: int) -> None:
    error = explained(OSError(code, os.strerror(code)))

    assert error.message == "the disk of /data/hub is full"
    assert "HF_HUB_CACHE" in str(error.next_step)


def test_a_file_that_may_not_be_that_large_is_no_matter_of_rights() -> None:
    error = explained(OSError(errno.EFBIG, os.strerror(errno.EFBIG)))

    assert error.message == "the weights cannot be written below /data/hub: a file would be larger than is allowed here"
    assert "ulimit -f" in str(error.next_step)


def test_a_folder_that_may_not_be_written_is_named() -> None:
    assert explained(PermissionError(errno.EACCES, "Permission denied")).message.endswith(
        "/data/hub: Permission denied"
    )


def test_a_connection_that_is_refused_has_its_plain_cause() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/private?signature=secret"
        with pytest.raises(requests.ConnectionError) as caught:
            requests.get(url, timeout=30)

    error = explained(caught.value)

    assert isinstance(error, HubUnreachableError)
    assert error.message.endswith("broke: Connection refused")
    assert "secret" not in error.message


def test_a_silent_server_is_a_connection_that_broke() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(requests.Timeout) as caught:
            # The connection itself may take a busy machine longer.
            requests.get(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=(30, 0.01))

    assert "Read timed out" in explained(caught.value).message


@pytest.mark.parametrize("status", [500, 503, 416])
def test_a_hub_with_trouble_of_its_own_may_be_tried_again(status: int) -> None:
    error = explained(answer(status))

    assert isinstance(error, HubUnreachableError)
    assert f"status {status}" in error.message


def test_too_many_requests_may_be_tried_again_and_a_token_helps() -> None:
    assert isinstance(explained(answer(429)), HubUnreachableError)
    assert "HF_TOKEN" in str(explained(answer(429)).next_step)
    assert "HF_TOKEN" not in str(explained(answer(429), OPERATOR).next_step)


def test_a_storage_that_refuses_is_not_the_hub_that_refuses() -> None:
    assert isinstance(explained(answer(403, "https://storage.example/x"), OPERATOR), HubUnreachableError)
    assert "your token may not read acme/model" in explained(answer(403), OPERATOR).message


def test_what_the_hub_says_is_shown_without_the_token() -> None:
    error = explained(answer(400), OPERATOR)

    assert error.evidence == ("said ***",)


def test_an_address_where_no_hub_is_points_at_the_mirror() -> None:
    error = explained(answer(404))

    assert error.message == "https://hub.example does not answer as a hub does: it answers with status 404"
    assert "HF_ENDPOINT" in str(error.next_step)


def test_a_login_page_in_place_of_the_hub_is_named() -> None:
    error = explained(requests.JSONDecodeError("Expecting value", "<html>", 0))

    assert error.message == "https://hub.example does not answer as a hub does: its answer is not JSON"


def test_a_body_that_ends_early_may_be_tried_again() -> None:
    assert isinstance(explained(OSError("Consistency check failed: file should be of size 9")), HubUnreachableError)
