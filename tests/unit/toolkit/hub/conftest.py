from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.hub_server import HubServer
from fakes.small_model import FILES, MODEL, OPERATOR
from scout_deploy.hub import Hub


@pytest.fixture
def server() -> Iterator[HubServer]:
    with HubServer() as running:
        running.add(MODEL, FILES)
        running.tokens.add(OPERATOR)
        yield running


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "hub"


@pytest.fixture
def hub(server: HubServer, cache: Path) -> Hub:
    return Hub(cache=cache, endpoint=server.endpoint, retry_pauses_s=(0, 0))
