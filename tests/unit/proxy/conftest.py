from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from fakes.engine_waits import Gate
from fakes.fake_engine import Behaviour, Counters, FakeEngine, fake_engine
from fakes.running_proxy import RunningProxy, route_table, running_proxy, wait_until


@dataclass(frozen=True)
class Service:
    """A proxy and the one fake engine behind it."""

    proxy: RunningProxy
    engine: FakeEngine


@pytest.fixture(scope="session")
def shared_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    path = tmp_path_factory.mktemp("proxy") / "routes.json"
    with fake_engine() as engine, running_proxy(path, route_table(engine.url)) as proxy:
        yield Service(proxy, engine)


@pytest.fixture
def service(shared_service: Service) -> Iterator[Service]:
    """The shared service as at its beginning, serving; put back after the test."""
    shared_service.proxy.wait_for("active")
    # A request that was given up before the engine had read it is the last test's too.
    shared_service.engine.settle()
    shared_service.engine.seen = Counters()
    yield shared_service
    # What one test leaves in flight must not be counted in the next one.
    wait_until(lambda: shared_service.engine.seen.in_flight == 0, "the engine is idle")
    shared_service.engine.behaviour = Behaviour()
    shared_service.engine.start()
    shared_service.proxy.restore()


@pytest.fixture
def proxy(service: Service) -> RunningProxy:
    return service.proxy


@pytest.fixture
def engine(service: Service) -> FakeEngine:
    return service.engine


@pytest.fixture
def gate() -> Iterator[Gate]:
    """For an engine's behaviour; opened after the test, so that nothing waits for it any more."""
    held = Gate()
    yield held
    held.open()
