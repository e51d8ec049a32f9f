import pwd
from pathlib import Path

import pytest

from scout_deploy.errors import StateError
from scout_deploy.xdg import user_directories


def nobody(uid: int) -> pwd.struct_passwd:
    raise KeyError(uid)


def test_directories_lie_where_the_environment_says() -> None:
    directories = user_directories({"XDG_STATE_HOME": "/var/state", "XDG_CONFIG_HOME": "/var/config"})

    assert directories.deployments == Path("/var/state/scout-deploy/deployments")
    assert directories.config == Path("/var/config/scout-deploy")


def test_a_relative_directory_is_ignored() -> None:
    directories = user_directories({"HOME": "/home/me", "XDG_STATE_HOME": "state"})

    assert directories.state == Path("/home/me/.local/state/scout-deploy")


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    # As in a container that runs as a number which no user has.
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)

    with pytest.raises(StateError, match="no home directory") as caught:
        user_directories({})

    assert "XDG_STATE_HOME" in str(caught.value.next_step)
    assert user_directories({"XDG_STATE_HOME": "/s", "XDG_CONFIG_HOME": "/c"}).state == Path("/s/scout-deploy")
