"""The address of an API that is asked: what is taken, and what is refused before anybody is asked."""

import pytest

from scout_deploy.cli.api_target import target_at
from scout_deploy.errors import ProfileError


@pytest.mark.parametrize("url", ["http://127.0.0.1:2025", "https://api.example.org/behind/", "http://[::1]:2025"])
def test_an_address_is_asked_as_it_was_given(url: str) -> None:
    assert target_at(url).url == url


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:2025", "ftp://there", "http://", "http://[::1", "http://a:99999", "http://a:0", "http://a b"]
)
def test_what_is_none_is_named(url: str) -> None:
    with pytest.raises(ProfileError) as caught:
        target_at(url)

    assert caught.value.message == f"--url: got {url!r}, expected an http or https address"
    assert caught.value.next_step == "as in --url http://127.0.0.1:2025"


def test_what_of_it_would_not_be_sent_is_refused_and_a_password_is_not_shown() -> None:
    with pytest.raises(ProfileError, match="a name or password in the address is not sent") as caught:
        target_at("http://me:geheim@there")
    with pytest.raises(ProfileError, match=r"without what follows \? or #"):
        target_at("http://there/?key=1")

    assert "geheim" not in caught.value.message
    assert "SCOUT_API_KEY" in str(caught.value.next_step)
