import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.fake_engine import Behaviour, Counters, Failure, FakeEngine, fake_engine
from fakes.running_proxy import DEADLINE_S, RunningProxy, load_on, route_table, running_proxy, wait_until
from scout_proxy.route_table import RouteTable, Upstream, UpstreamState

NOT_LOADED = {"detail": "Model or tokenizer not loaded"}


@pytest.fixture
def engines() -> Iterator[tuple[FakeEngine, FakeEngine]]:
    with fake_engine() as first, fake_engine() as second:
        yield first, second


@pytest.fixture
def pair(proxy: RunningProxy, engines: tuple[FakeEngine, FakeEngine]) -> RunningProxy:
    """A proxy before both engines, serving."""
    proxy.configure(upstreams=route_table(engines[0].url, engines[1].url).upstreams)
    proxy.wait_until_observed(engine_0="serving", engine_1="serving")
    for engine in engines:
        engine.seen = Counters()
    return proxy


def declared(engine: FakeEngine, name: str, state: UpstreamState) -> Upstream:
    return Upstream(id=name, url=engine.url, state=state)


def generations(engines: tuple[FakeEngine, FakeEngine]) -> list[int]:
    return [len(engine.seen.generations) for engine in engines]


def test_an_engine_that_dies_under_load_fails_no_request(
    pair: RunningProxy, engines: tuple[FakeEngine, FakeEngine]
) -> None:
    first, second = engines
    first.behaviour = second.behaviour = Behaviour(delay_s=0.02)
    with load_on(pair) as load:
        load.go_on(20)
        wait_until(lambda: first.seen.in_flight, "the first engine works")
        first.kill()
        load.go_on(20)
        assert pair.upstream("engine-0")["observed"] == "lost"
        first.start()
        pair.wait_until_observed(engine_0="serving")
        first.seen = Counters()
        wait_until(lambda: first.seen.generations, "the first engine takes requests again")

    assert set(load.statuses) == {200}
    assert pair.samples()["scout_proxy_upstream_retries_total", "lost", "engine-0"] >= 1


def test_an_engine_that_moves_leaves_one_series_of_its_name(
    proxy: RunningProxy, engine: FakeEngine, engines: tuple[FakeEngine, FakeEngine]
) -> None:
    engine.behaviour = Behaviour(delay_s=30)
    connection = proxy.connect()
    connection.sendall(proxy.raw_generate(b'{"prompt": "p"}'))
    wait_until(lambda: engine.seen.in_flight, "the old address works")

    proxy.configure(upstreams=route_table(engines[0].url).upstreams)
    proxy.wait_for("active")

    lines = [line for line in proxy.get("/metrics").text.splitlines() if line.startswith("scout_proxy_upstream_")]
    assert [line for line in lines if "_up{" in line] == ['scout_proxy_upstream_up{upstream="engine-0"} 1.0']
    assert [line for line in lines if "flight{" in line] == [
        'scout_proxy_upstream_requests_in_flight{upstream="engine-0"} 1.0'
    ]
    connection.close()


def test_requests_in_turn_go_to_the_engine_that_was_used_longest_ago(
    pair: RunningProxy, engines: tuple[FakeEngine, FakeEngine]
) -> None:
    for _ in range(6):
        assert pair.generate().status_code == 200

    assert generations(engines) == [3, 3]


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (Failure.CLOSED, "lost"),
        (Failure.TRUNCATED, "cut_off"),
        (Failure.UNHEALTHY, "not_ready"),
        (Failure.OVERLOADED, "overloaded"),
    ],
)
def test_a_request_that_one_engine_lets_down_is_done_by_the_other(
    pair: RunningProxy, engines: tuple[FakeEngine, FakeEngine], failure: Failure, reason: str
) -> None:
    engines[0].behaviour = Behaviour(failure=failure)
    counter = ("scout_proxy_upstream_retries_total", reason, "engine-0")
    before = pair.samples().get(counter, 0)

    answers = [pair.generate(num_return_sequences=2), pair.generate(num_return_sequences=2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    asked, done = (engine.seen.generations for engine in engines)
    assert len(done) == 4
    assert asked
    assert all(body in done for body in asked), "the same parameters and seed are sent again"
    assert pair.samples()[counter] == before + len(asked)


@pytest.mark.parametrize(
    ("failure", "status"),
    [(Failure.CLOSED, 503), (Failure.TRUNCATED, 500), (Failure.UNHEALTHY, 503)],
)
def test_each_engine_is_tried_once(
    pair: RunningProxy, engines: tuple[FakeEngine, FakeEngine], failure: Failure, status: int
) -> None:
    engines[0].behaviour = engines[1].behaviour = Behaviour(failure=failure)

    answer = pair.generate()

    assert answer.status_code == status
    assert generations(engines) == [1, 1]


def test_an_engine_at_its_limit_is_waited_for_when_the_other_is_lost(
    pair: RunningProxy, engines: tuple[FakeEngine, FakeEngine]
) -> None:
    engines[0].behaviour = Behaviour(failure=Failure.OVERLOADED)
    engines[1].behaviour = Behaviour(failure=Failure.CLOSED)
    answers: list[int] = []
    asking = threading.Thread(target=lambda: answers.append(pair.generate().status_code))
    asking.start()
    # The first one is asked again twice a second.
    wait_until(lambda: all(generations(engines)), "both were asked")

    engines[0].behaviour = Behaviour()

    asking.join(DEADLINE_S)
    assert answers == [200]


@pytest.mark.parametrize("failure", [Failure.GENERATION, Failure.VALIDATION])
def test_a_request_that_fails_by_itself_is_not_tried_elsewhere(
    pair: RunningProxy, engines: tuple[FakeEngine, FakeEngine], failure: Failure
) -> None:
    engines[0].behaviour = engines[1].behaviour = Behaviour(failure=failure)

    assert pair.generate().status_code in {422, 500}
    assert sum(generations(engines)) == 1


def test_a_request_fits_each_of_two_engines_with_different_limits(
    proxy: RunningProxy, engines: tuple[FakeEngine, FakeEngine]
) -> None:
    engines[0].behaviour = Behaviour(max_input_tokens=900, max_total_tokens=1000)
    engines[1].behaviour = Behaviour(max_input_tokens=500, max_total_tokens=1200)
    proxy.configure(upstreams=route_table(engines[0].url, engines[1].url).upstreams)
    proxy.wait_until_observed(engine_0="serving", engine_1="serving")

    refused = [proxy.generate(prompt="word " * 600) for _ in range(2)]
    taken = [proxy.generate(prompt="word " * 400, max_length=5_000) for _ in range(2)]

    assert [answer.status_code for answer in refused] == [422, 422]
    assert {answer.json()["detail"][0]["msg"].rpartition(" ")[2] for answer in refused} == {"500"}
    assert [answer.status_code for answer in taken] == [200, 200]
    sent = [body["parameters"]["max_new_tokens"] for engine in engines for body in engine.seen.generations]
    assert sent == [599, 599]


def test_counting_a_prompt_is_tried_elsewhere_too(pair: RunningProxy, engines: tuple[FakeEngine, FakeEngine]) -> None:
    engines[0].kill()

    assert [pair.generate(max_length=100_000).status_code for _ in range(2)] == [200, 200]


def test_an_engine_that_keeps_failing_is_taken_out_until_it_generates_again(
    pair: RunningProxy, engines: tuple[FakeEngine, FakeEngine]
) -> None:
    bad, good = engines
    bad.behaviour = Behaviour(failure=Failure.GENERATION)

    statuses = [pair.generate().status_code for _ in range(12)]

    assert statuses.count(500) == 3
    assert len(bad.seen.generations) == 3
    state = pair.upstream("engine-0")
    assert (state["observed"], state["takes_requests"], state["proven_s"]) == ("lost", False, None)
    wait_until(lambda: bad.seen.proofs, "it is asked to generate a token")
    assert "CUDA out of memory" in pair.upstream("engine-0")["reason"]
    assert pair.upstream("engine-0")["observed"] == "lost"
    bad.behaviour = Behaviour()
    pair.wait_until_observed(engine_0="serving")
    assert pair.upstream("engine-0")["reason"] is None
    assert [pair.generate().status_code for _ in range(2)] == [200, 200]
    assert len(bad.seen.generations) == 4
    assert good.seen.proofs == 0


def test_failures_that_are_not_in_a_row_take_nothing_out(
    pair: RunningProxy, engines: tuple[FakeEngine, FakeEngine]
) -> None:
    engine = engines[0]
    for failure in (Failure.GENERATION, Failure.GENERATION, Failure.NONE, Failure.GENERATION, Failure.GENERATION):
        engine.behaviour = Behaviour(failure=failure)
        for _ in range(2):
            pair.generate()

    assert generations(engines) == [5, 5]
    assert pair.upstream("engine-0")["observed"] == "serving"


def test_the_last_engine_is_never_taken_out(pair: RunningProxy, engines: tuple[FakeEngine, FakeEngine]) -> None:
    engines[1].kill()
    assert [pair.generate().status_code for _ in range(2)] == [200, 200]
    pair.wait_until_observed(engine_1="lost")
    engines[0].behaviour = Behaviour(failure=Failure.GENERATION)

    assert {pair.generate().status_code for _ in range(8)} == {500}
    assert pair.upstream("engine-0")["takes_requests"] is True


def test_requests_that_are_refused_take_nothing_out(pair: RunningProxy, engines: tuple[FakeEngine, FakeEngine]) -> None:
    engines[0].behaviour = Behaviour(failure=Failure.VALIDATION)

    assert sorted(pair.generate().status_code for _ in range(10)) == [200] * 5 + [422] * 5


def test_an_engine_that_is_healthy_but_cannot_generate_does_not_serve(tmp_path: Path) -> None:
    with (
        fake_engine(Behaviour(proof_failure=Failure.GENERATION)) as engine,
        running_proxy(tmp_path / "routes.json", route_table(engine.url)) as proxy,
    ):
        wait_until(lambda: proxy.upstream("engine-0")["reason"], "the reason is shown")
        assert "CUDA out of memory" in proxy.upstream("engine-0")["reason"]
        assert proxy.generate().json() == NOT_LOADED
        engine.behaviour = Behaviour()
        proxy.wait_for("active")
        assert proxy.generate().status_code == 200
        assert proxy.samples()["scout_proxy_generated_tokens_total",] == 5


def test_an_engine_in_standby_is_proven_and_gets_no_requests(
    proxy: RunningProxy, engines: tuple[FakeEngine, FakeEngine]
) -> None:
    old, new = engines
    proxy.configure(
        upstreams=(declared(old, "old", UpstreamState.RUNNING), declared(new, "new", UpstreamState.STANDBY))
    )
    proxy.wait_until_observed(old="serving", new="serving")

    assert [proxy.generate().status_code for _ in range(4)] == [200] * 4

    state = proxy.upstream("new")
    assert (state["declared"], state["observed"], state["takes_requests"]) == ("standby", "serving", False)
    assert state["proven_s"] >= 0
    assert (len(new.seen.generations), new.seen.proofs) == (0, 1)
    assert proxy.samples()["scout_proxy_upstream_up", "new"] == 0


def test_a_service_that_has_but_a_standby_is_not_loaded(tmp_path: Path) -> None:
    with fake_engine() as engine:
        table = route_table(upstreams=(declared(engine, "new", UpstreamState.STANDBY),))
        with running_proxy(tmp_path / "routes.json", table) as proxy:
            proxy.wait_until_observed(new="serving")
            assert proxy.generate().json() == NOT_LOADED
            assert proxy.get("/").json()["status"] == "starting"


def switched(old: FakeEngine, new: FakeEngine, *states: UpstreamState) -> tuple[Upstream, ...]:
    return declared(old, "old", states[0]), declared(new, "new", states[1])


def test_a_switch_to_the_standby_and_back_fails_no_request(
    proxy: RunningProxy, engines: tuple[FakeEngine, FakeEngine]
) -> None:
    old, new = engines
    old.behaviour = new.behaviour = Behaviour(delay_s=0.02)
    proxy.configure(upstreams=switched(old, new, UpstreamState.RUNNING, UpstreamState.STANDBY))
    proxy.wait_until_observed(old="serving", new="serving")
    with load_on(proxy) as load:
        load.go_on(20)
        proxy.configure(upstreams=switched(old, new, UpstreamState.DRAINING, UpstreamState.RUNNING))
        assert proxy.upstream("old")["observed"] == "draining"
        wait_until(lambda: proxy.upstream("old")["in_flight"] == 0, "the old engine is idle")
        taken = len(old.seen.generations)
        load.go_on(20)
        assert len(old.seen.generations) == taken
        proxy.configure(upstreams=switched(old, new, UpstreamState.RUNNING, UpstreamState.DRAINING))
        load.go_on(20)
        assert len(old.seen.generations) > taken

    assert set(load.statuses) == {200}


def test_a_drained_engine_is_not_probed_and_is_looked_at_when_it_returns(
    proxy: RunningProxy, engines: tuple[FakeEngine, FakeEngine]
) -> None:
    old, new = engines
    proxy.configure(upstreams=switched(old, new, UpstreamState.DRAINING, UpstreamState.RUNNING))
    proxy.wait_until_observed(old="draining", new="serving")
    assert old.seen.probes == 0
    proxy.configure(upstreams=switched(old, new, UpstreamState.RUNNING, UpstreamState.RUNNING))
    proxy.wait_until_observed(old="serving")

    proxy.configure(upstreams=switched(old, new, UpstreamState.DRAINING, UpstreamState.RUNNING))
    # Not before: a look that comes every few seconds could see it first, and it would return as one to start with.
    old.kill()
    proxy.configure(upstreams=switched(old, new, UpstreamState.RUNNING, UpstreamState.RUNNING))

    proxy.wait_until_observed(old="lost")


def test_a_proxy_that_starts_during_a_drain_does_not_use_the_old_engine(
    tmp_path: Path, engines: tuple[FakeEngine, FakeEngine]
) -> None:
    table: RouteTable = route_table(upstreams=switched(*engines, UpstreamState.DRAINING, UpstreamState.RUNNING))
    with running_proxy(tmp_path / "routes.json", table) as proxy:
        proxy.wait_for("active")
        assert [proxy.generate().status_code for _ in range(3)] == [200] * 3

    assert generations(engines) == [0, 3]
    assert engines[0].seen.probes == 0
