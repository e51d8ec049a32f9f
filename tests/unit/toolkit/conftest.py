from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.profile_folder import Folder
from fakes.scripted_deployment import ScriptedDeployment, scripted_deployment


@pytest.fixture
def scripted(tmp_path: Path) -> Iterator[ScriptedDeployment]:
    yield from scripted_deployment(tmp_path)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """A folder of profiles, which is the working directory too, so that messages name its files shortly."""
    monkeypatch.chdir(tmp_path)
    return Folder(tmp_path)
