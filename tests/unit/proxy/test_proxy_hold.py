import threading
from collections.abc import Iterator

import pytest
import requests

from fakes.engine_waits import Gate
from fakes.fake_engine import Behaviour, Failure, FakeEngine, fake_engine
from fakes.running_proxy import DEADLINE_S, RunningProxy, load_on, wait_until
from scout_proxy.route_table import Hold, Limits, Upstream, UpstreamState

NOT_LOADED = {"detail": "Model or tokenizer not loaded"}
LONG = Hold(max_wait_s=30, estimate_s=12.5)
TEMPLATE = "{% for m in messages %}[new {{ m.role }}] {{ m.content }}{% endfor %}"


@pytest.fixture
def new() -> Iterator[FakeEngine]:
    with fake_engine() as engine:
        yield engine


def declared(engine: FakeEngine, name: str, state: UpstreamState = UpstreamState.RUNNING) -> Upstream:
    return Upstream(id=name, url=engine.url, state=state)


def hold(proxy: RunningProxy, engine: FakeEngine, terms: Hold = LONG, *, max_waiting: int = 1024) -> None:
    """Drain the engine while requests wait."""
    draining = Upstream(id="engine-0", url=engine.url, state=UpstreamState.DRAINING)
    proxy.configure(upstreams=(draining,), hold=terms, limits=Limits(max_waiting=max_waiting))


def wait_for_held(proxy: RunningProxy, count: int) -> None:
    wait_until(lambda: proxy.samples()["scout_proxy_requests_held",] == count, f"{count} requests wait")


class Asked:
    """Requests that are under way, each in a thread."""

    def __init__(self, proxy: RunningProxy, count: int = 1, **fields: object) -> None:
        self.answers: list[requests.Response] = []
        self._threads = [
            threading.Thread(target=lambda: self.answers.append(proxy.generate(**fields))) for _ in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def statuses(self) -> list[int]:
        for thread in self._threads:
            thread.join(DEADLINE_S)
        return [answer.status_code for answer in self.answers]


def test_a_swap_under_load_fails_no_request(proxy: RunningProxy, engine: FakeEngine, new: FakeEngine) -> None:
    engine.behaviour = Behaviour(delay_s=0.02)
    with load_on(proxy) as load:
        load.go_on(20)
        hold(proxy, engine)
        wait_until(lambda: proxy.upstream("engine-0")["in_flight"] == 0, "the old engine is idle")
        engine.kill()
        proxy.configure(upstreams=(declared(new, "new", UpstreamState.STANDBY),))
        wait_for_held(proxy, 6)
        proxy.wait_until_observed(new="serving")
        assert new.seen.generations == []
        proxy.configure(upstreams=(declared(new, "new"),), hold=None)
        load.go_on(20)

    assert set(load.statuses) == {200}
    assert new.seen.generations
    wait_for_held(proxy, 0)


def test_a_swap_that_is_taken_back_fails_no_request(proxy: RunningProxy, engine: FakeEngine) -> None:
    with load_on(proxy) as load:
        load.go_on(5)
        hold(proxy, engine)
        wait_for_held(proxy, 6)
        engine.kill()
        engine.start()
        proxy.configure(upstreams=(declared(engine, "engine-0"),))
        load.go_on(10)
        proxy.configure(hold=None)
        load.go_on(10)

    assert set(load.statuses) == {200}


def test_a_held_service_says_that_it_answers_and_shows_the_hold(proxy: RunningProxy, engine: FakeEngine) -> None:
    hold(proxy, engine)
    asked = Asked(proxy, 2)
    wait_for_held(proxy, 2)

    assert (proxy.get("/health").status_code, proxy.get("/health").json()) == (200, {"status": "healthy"})
    status = proxy.status()
    assert (status["status"], proxy.get("/").json()["status"]) == ("active", "active")
    assert status["hold"] == {"waiting": 2, "max_wait_s": 30, "estimate_s": 12.5}
    assert [one["observed"] for one in status["upstreams"]] == ["draining"]
    proxy.configure(upstreams=(declared(engine, "engine-0"),), hold=None)
    assert asked.statuses() == [200, 200]
    assert proxy.status()["hold"] is None


def test_a_hold_that_lasts_longer_than_the_longest_wait_is_a_503(proxy: RunningProxy, engine: FakeEngine) -> None:
    hold(proxy, engine, Hold(max_wait_s=0.1, estimate_s=41.5))

    answer = proxy.generate()

    assert (answer.status_code, answer.json()) == (503, NOT_LOADED)
    assert answer.headers["Retry-After"] == "42"
    wait_until(lambda: proxy.get("/health").status_code == 503, "the service no longer says that it answers")
    assert proxy.get("/").json()["status"] == "unavailable"
    assert engine.seen.generations == []


def test_a_request_beyond_the_places_is_a_503(proxy: RunningProxy, engine: FakeEngine) -> None:
    hold(proxy, engine, max_waiting=1)
    asked = Asked(proxy)
    wait_for_held(proxy, 1)

    answer = proxy.generate()

    assert (answer.status_code, answer.json()) == (503, NOT_LOADED)
    assert answer.headers["Retry-After"] == "13"
    assert proxy.get("/health").status_code == 503
    proxy.configure(upstreams=(declared(engine, "engine-0"),), hold=None)
    assert asked.statuses() == [200]


def test_a_client_that_leaves_frees_its_place(proxy: RunningProxy, engine: FakeEngine) -> None:
    hold(proxy, engine, max_waiting=1)
    connection = proxy.connect()
    connection.sendall(proxy.raw_generate(b'{"prompt": "left"}'))
    wait_for_held(proxy, 1)

    connection.close()

    wait_for_held(proxy, 0)
    asked = Asked(proxy, prompt="stayed")
    wait_for_held(proxy, 1)
    proxy.configure(upstreams=(declared(engine, "engine-0"),), hold=None)
    assert asked.statuses() == [200]
    assert [body["inputs"] for body in engine.seen.generations] == ["stayed"]


def test_the_deadline_of_a_held_request_is_a_504(proxy: RunningProxy, engine: FakeEngine) -> None:
    draining = Upstream(id="engine-0", url=engine.url, state=UpstreamState.DRAINING)
    proxy.configure(upstreams=(draining,), hold=LONG, limits=Limits(deadline_s=0.1))

    assert proxy.generate().status_code == 504


def test_a_hold_that_ends_with_nothing_to_wait_for_answers_at_once(proxy: RunningProxy, engine: FakeEngine) -> None:
    hold(proxy, engine)
    asked = Asked(proxy, 2)
    wait_for_held(proxy, 2)

    proxy.configure(upstreams=(), hold=None)

    assert asked.statuses() == [503, 503]
    assert {answer.text for answer in asked.answers} == {'{"detail":"Model or tokenizer not loaded"}'}
    wait_for_held(proxy, 0)


def test_a_hold_that_ends_before_the_engine_serves_is_kept_for_those_who_wait(
    proxy: RunningProxy, engine: FakeEngine, new: FakeEngine
) -> None:
    hold(proxy, engine)
    asked = Asked(proxy)
    wait_for_held(proxy, 1)
    new.kill()
    proxy.configure(upstreams=(declared(new, "new"),), hold=None)
    assert proxy.generate().status_code == 503

    new.start()

    assert asked.statuses() == [200]


def test_held_requests_get_the_new_models_prompt_format(
    proxy: RunningProxy, engine: FakeEngine, new: FakeEngine
) -> None:
    hold(proxy, engine)
    asked = Asked(proxy, prompt="hello")
    wait_for_held(proxy, 1)

    proxy.configure(
        upstreams=(declared(new, "new"),),
        hold=None,
        template=proxy.table.template.model_copy(update={"chat_template": TEMPLATE}),
    )

    assert asked.statuses() == [200]
    assert [body["inputs"] for body in new.seen.generations] == ["[new user] hello"]


def test_a_request_that_is_done_again_gets_the_new_models_prompt_format_and_room(
    proxy: RunningProxy, engine: FakeEngine, new: FakeEngine
) -> None:
    engine.behaviour = Behaviour(delay_s=30)
    new.behaviour = Behaviour(max_input_tokens=31, max_total_tokens=32)
    asked = Asked(proxy, prompt="one two three", max_length=500)
    wait_until(lambda: engine.seen.in_flight, "the old engine works")
    hold(proxy, engine)
    engine.kill()
    wait_for_held(proxy, 1)

    proxy.configure(
        upstreams=(declared(new, "new"),),
        hold=None,
        template=proxy.table.template.model_copy(update={"chat_template": TEMPLATE}),
    )

    assert asked.statuses() == [200]
    (sent,) = new.seen.generations
    assert sent["inputs"] == "[new user] one two three"
    assert sent["parameters"]["max_new_tokens"] == 32 - 6


@pytest.mark.parametrize("failure", [Failure.CLOSED, Failure.TRUNCATED, Failure.UNHEALTHY])
def test_a_request_whose_engine_fails_under_a_hold_waits_like_a_new_one(
    proxy: RunningProxy, engine: FakeEngine, new: FakeEngine, gate: Gate, failure: Failure
) -> None:
    engine.behaviour = Behaviour(gate=gate, failure=failure)
    asked = Asked(proxy)
    wait_until(lambda: engine.seen.in_flight, "the old engine works")
    hold(proxy, engine)
    gate.open()

    wait_for_held(proxy, 1)
    proxy.configure(upstreams=(declared(new, "new"),), hold=None)

    assert asked.statuses() == [200]
    assert (len(engine.seen.generations), len(new.seen.generations)) == (1, 1)
    assert engine.seen.generations == new.seen.generations


def test_a_held_request_comes_back_to_an_engine_only_when_it_is_seen_to_serve_again(
    proxy: RunningProxy, engine: FakeEngine
) -> None:
    # Its health is as bad, so that the look that comes every few seconds sees nothing that serves again.
    engine.behaviour = Behaviour(failure=Failure.UNHEALTHY, proof_failure=Failure.NONE, healthy=False)
    proxy.configure(hold=LONG)
    asked = Asked(proxy)
    wait_for_held(proxy, 1)
    proxy.configure(hold=LONG)
    assert len(engine.seen.generations) == 1

    engine.behaviour = Behaviour()
    # What is declared anew is looked at.
    proxy.configure(upstreams=(declared(engine, "engine-0"),))

    assert asked.statuses() == [200]
    assert len(engine.seen.generations) == 2


def test_held_requests_that_meet_a_full_engine_wait_for_room(
    proxy: RunningProxy, engine: FakeEngine, new: FakeEngine
) -> None:
    new.behaviour = Behaviour(failure=Failure.OVERLOADED, proof_failure=Failure.NONE)
    hold(proxy, engine)
    asked = Asked(proxy)
    wait_for_held(proxy, 1)
    proxy.configure(upstreams=(declared(new, "new"),), hold=None)
    wait_until(lambda: new.seen.generations, "the request was refused once")

    new.behaviour = Behaviour()

    assert asked.statuses() == [200]


def test_a_hold_with_an_engine_that_serves_holds_nothing(proxy: RunningProxy) -> None:
    proxy.configure(hold=LONG)

    assert proxy.generate().status_code == 200
