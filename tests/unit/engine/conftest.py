"""One engine for all tests that only ask it things."""

from collections.abc import Iterator

import pytest
import requests

from fakes.engine_process import EngineProcess, running_engine
from scout_engine.arguments import DEMO_MODEL
from scout_engine.gguf import read_metadata
from scout_engine.vocabulary import Vocabulary, read_vocabulary


@pytest.fixture(scope="session")
def engine() -> Iterator[EngineProcess]:
    with running_engine("--slots", "4", "--context", "512") as started:
        yield started


@pytest.fixture
def url(engine: EngineProcess) -> str:
    return engine.url


@pytest.fixture
def http() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    return read_vocabulary(read_metadata(DEMO_MODEL))
