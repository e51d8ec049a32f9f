from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.scripted_deployment import ScriptedDeployment, scripted_deployment


@pytest.fixture
def scripted(tmp_path: Path) -> Iterator[ScriptedDeployment]:
    yield from scripted_deployment(tmp_path)
