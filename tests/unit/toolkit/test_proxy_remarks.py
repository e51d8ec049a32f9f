from typing import Any

import pytest

from scout_deploy.profile.profile import Profile
from scout_deploy.proxy_remarks import proxy_remarks


def remarks(**proxy: Any) -> tuple[str, ...]:
    return proxy_remarks(Profile.model_validate({"engine": {"kind": "embedded"}, "proxy": proxy}))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "gpu-box.lan"])
def test_an_api_that_is_open_to_the_network_is_remarked_upon(host: str) -> None:
    (remark,) = remarks(host=host, port=2030)

    assert remark.startswith(
        f"proxy/host is {host} and proxy/keys is not set: whoever reaches port 2030 may use the API"
    )
    assert "scout-deploy keys new NAME" in remark
    assert remarks(host=host, keys={"variable": "KEYS"}) == ()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "::1", "localhost"])
def test_an_api_of_this_machine_alone_is_not(host: str) -> None:
    assert remarks(host=host) == ()


def test_an_api_for_every_web_page_is_remarked_upon() -> None:
    (remark,) = remarks(cors={"origins": ("*",)})

    assert "every web page" in remark
    assert remarks(cors={"origins": ("https://chat.example",)}) == ()


def test_prompts_in_the_log_are_remarked_upon_whoever_may_use_the_api() -> None:
    (remark,) = remarks(log={"access": "all", "prompts": True}, keys={"variable": "KEYS"})

    assert "whoever reads the proxy's log reads what users wrote" in remark
    assert remarks(log={"access": "all"}) == ()
