from collections.abc import AsyncGenerator, Callable, Mapping
from pathlib import Path

from fakes.engine_waits import Gate
from fakes.fake_engine import Behaviour, Failure, FakeEngine, fake_engine
from fakes.raw_http import RawConnection, generate_request
from fakes.running_proxy import RunningProxy, route_table, running_proxy, wait_until
from scout_proxy.route_table import Phase, Upstream, UpstreamState
from scout_proxy.upstreams.engine import (
    Engine,
    EngineFacts,
    Engines,
    Event,
    Forwarded,
    Generated,
    GenerationParameters,
    Pieces,
)

NOT_LOADED = {"detail": "Model or tokenizer not loaded"}


def test_root_has_exactly_the_documented_body(proxy: RunningProxy) -> None:
    assert proxy.get("/").json() == {
        "name": "Llama 4 Scout-17B API",
        "version": "1.0.0",
        "status": "active",
        "model": "meta-llama/Llama-4-Scout-17B-16E-Instruct",
    }


def test_health_has_exactly_the_documented_body(proxy: RunningProxy) -> None:
    assert (proxy.get("/health").status_code, proxy.get("/health").json()) == (200, {"status": "healthy"})


def test_before_the_engine_listens_it_is_starting_then_active(tmp_path: Path) -> None:
    with fake_engine() as engine:
        engine.kill()
        with running_proxy(tmp_path / "routes.json", route_table(engine.url)) as proxy:
            assert proxy.get("/").json()["status"] == "starting"
            for answer in (proxy.get("/health"), proxy.generate()):
                assert (answer.status_code, answer.json()) == (503, NOT_LOADED)
                assert int(answer.headers["Retry-After"]) >= 1
            engine.start()
            proxy.wait_for("active")
            assert proxy.generate().status_code == 200


def test_an_invalid_request_is_a_422_while_nothing_serves(tmp_path: Path) -> None:
    with running_proxy(tmp_path / "routes.json", route_table()) as proxy:
        assert proxy.post(json={}).status_code == 422
        assert proxy.generate().status_code == 503
        assert proxy.get("/").json()["status"] == "starting"


def test_a_killed_engine_is_lost_with_the_request_and_comes_back(proxy: RunningProxy, engine: FakeEngine) -> None:
    engine.kill()

    answer = proxy.generate()

    assert (answer.status_code, answer.json()) == (503, NOT_LOADED)
    assert proxy.get("/").json()["status"] == "unavailable"
    assert proxy.get("/health").status_code == 503
    (upstream,) = proxy.status()["upstreams"]
    assert upstream["observed"] == "lost"
    assert engine.url in upstream["reason"]
    engine.start()
    proxy.wait_for("active")
    assert proxy.generate().status_code == 200


def test_an_engine_killed_while_it_generates_is_never_a_hang(proxy: RunningProxy, engine: FakeEngine) -> None:
    engine.behaviour = Behaviour(delay_s=30)
    connection = proxy.connect()
    connection.sendall(proxy.raw_generate(b'{"prompt": "p"}'))
    wait_until(lambda: engine.seen.in_flight, "the generation is in flight")

    engine.kill()

    assert connection.recv(65536).startswith(b"HTTP/1.1 503 ")
    connection.close()


def test_a_failed_generation_does_not_take_the_engine_out(proxy: RunningProxy, engine: FakeEngine) -> None:
    engine.behaviour = Behaviour(failure=Failure.GENERATION)

    assert proxy.generate().status_code == 500
    assert proxy.get("/").json()["status"] == "active"


def test_a_declared_failure_is_unavailable_and_the_next_start_starting(tmp_path: Path) -> None:
    def upstream(name: str, state: UpstreamState) -> tuple[Upstream, ...]:
        return (Upstream(id=name, url="http://127.0.0.1:9", state=state),)

    table = route_table(upstreams=upstream("a", UpstreamState.STARTING))
    with running_proxy(tmp_path / "routes.json", table) as proxy:
        assert proxy.get("/").json()["status"] == "starting"
        proxy.configure(upstreams=upstream("a", UpstreamState.FAILED))
        assert proxy.get("/").json()["status"] == "unavailable"
        proxy.configure(upstreams=upstream("b", UpstreamState.STARTING))
        assert proxy.get("/").json()["status"] == "starting"


def test_an_engine_that_comes_back_at_another_address_was_lost_meanwhile(proxy: RunningProxy) -> None:
    proxy.configure(upstreams=(Upstream(id="engine-0", url="http://127.0.0.1:9", state=UpstreamState.STARTING),))

    assert proxy.get("/").json()["status"] == "unavailable"


def test_retry_after_is_the_starts_own_estimate(proxy: RunningProxy) -> None:
    phase = Phase(name="load", percent=40, estimate_s=41.2, detail="4 of 10 files")
    proxy.configure(upstreams=(Upstream(id="a", url="http://127.0.0.1:9", phase=phase),))

    status = proxy.status()

    assert proxy.get("/health").headers["Retry-After"] == "42"
    assert proxy.generate().headers["Retry-After"] == "42"
    assert (status["phase"], status["percent"], status["estimate_s"]) == ("load", 40, 41.2)


def test_an_unhealthy_engine_does_not_serve(proxy: RunningProxy) -> None:
    with fake_engine(Behaviour(healthy=False)) as sick:
        proxy.configure(upstreams=(Upstream(id="sick", url=sick.url),))
        wait_until(lambda: proxy.status()["upstreams"][0]["reason"] == "unhealthy", "the probe's reason is shown")
        assert proxy.get("/health").status_code == 503
        sick.behaviour = Behaviour()
        proxy.wait_for("active")


def test_requests_go_to_the_upstream_with_the_fewest_in_flight(proxy: RunningProxy, gate: Gate) -> None:
    with fake_engine(Behaviour(gate=gate)) as first, fake_engine(Behaviour(gate=gate)) as second:
        proxy.configure(upstreams=route_table(first.url, second.url).upstreams)
        wait_until(lambda: all(u["observed"] == "serving" for u in proxy.status()["upstreams"]), "both serve")
        with RawConnection(proxy.port) as connection:
            connection.send(generate_request(b'{"prompt": "p", "num_return_sequences": 6}'))
            wait_until(lambda: first.seen.in_flight + second.seen.in_flight == 6, "all six are generated")
            assert (first.seen.in_flight, second.seen.in_flight) == (3, 3)
            gate.open()
            assert connection.answer().status == 200


def test_a_removed_upstream_finishes_its_request_and_takes_no_more(
    proxy: RunningProxy, engine: FakeEngine, gate: Gate
) -> None:
    engine.behaviour = Behaviour(gate=gate)
    with fake_engine() as new:
        connection = proxy.connect()
        connection.sendall(proxy.raw_generate(b'{"prompt": "p"}'))
        wait_until(lambda: engine.seen.in_flight, "the old engine works")
        proxy.configure(upstreams=(Upstream(id="new", url=new.url),))
        leaving = [u for u in proxy.status()["upstreams"] if u["id"] == "engine-0"]
        assert [(u["observed"], u["in_flight"]) for u in leaving] == [("draining", 1)]
        proxy.wait_for("active")
        assert proxy.generate().status_code == 200
        gate.open()
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        connection.close()
        assert (len(engine.seen.generations), len(new.seen.generations)) == (1, 1)
        wait_until(lambda: [u["id"] for u in proxy.status()["upstreams"]] == ["new"], "the old engine is gone")


def test_a_broken_new_table_keeps_the_old_one_and_is_shown(proxy: RunningProxy) -> None:
    revision = proxy.status()["route_table"]["revision"]
    good = proxy.path.read_text()

    proxy.path.write_text('{"revision": 99')

    wait_until(lambda: proxy.status()["route_table"]["reload_error"], "the reload error is shown")
    assert proxy.status()["route_table"]["revision"] == revision
    assert proxy.generate().status_code == 200
    proxy.path.unlink()
    wait_until(lambda: "cannot be read" in proxy.status()["route_table"]["reload_error"], "the missing file is shown")
    proxy.path.write_text(good)
    wait_until(lambda: proxy.status()["route_table"]["reload_error"] is None, "the good table is taken")


def test_a_table_with_a_broken_template_keeps_the_old_one(proxy: RunningProxy) -> None:
    table = proxy.table.model_copy(update={"revision": 10_000})
    text = table.model_dump_json().replace('"chat_template":null', '"chat_template":"{% for %}"')

    proxy.path.write_text(text)

    wait_until(lambda: "template" in (proxy.status()["route_table"]["reload_error"] or ""), "the error is shown")
    assert proxy.generate().status_code == 200
    proxy.configure()


def test_a_broken_template_at_start_is_shown_and_answered(tmp_path: Path) -> None:
    table = route_table(template={"chat_template": "{% for %}"})
    with fake_engine() as engine:
        table = table.model_copy(update={"upstreams": (Upstream(id="a", url=engine.url),)})
        with running_proxy(tmp_path / "routes.json", table) as proxy:
            proxy.wait_for("active")
            answer = proxy.generate()
            status = proxy.status()

    assert answer.status_code == 500
    assert answer.json()["detail"].startswith("Generation failed: the route table's template cannot be used")
    assert "cannot be compiled" in status["route_table"]["template_error"]


def test_an_address_that_is_none_is_said(proxy: RunningProxy) -> None:
    proxy.configure(upstreams=(Upstream(id="a", url="not an address"),))

    wait_until(
        lambda: proxy.status()["upstreams"][0]["reason"] == "not an address is not an http address",
        "the reason is shown",
    )
    assert proxy.get("/health").status_code == 503


def test_a_client_that_cannot_be_imported_is_said(tmp_path: Path) -> None:
    async def fail() -> Engines:
        raise ImportError("No module named 'aiohttp'")

    with running_proxy(tmp_path / "routes.json", route_table("http://127.0.0.1:9"), fail) as proxy:
        wait_until(lambda: proxy.status()["upstreams"][0]["reason"], "the reason is shown")
        assert "No module named 'aiohttp'" in proxy.status()["upstreams"][0]["reason"]
        assert proxy.generate().json() == NOT_LOADED


class BrokenEngine:
    """Generates for probes alone; has a defect otherwise, which is no error of the engine's that anyone expects."""

    async def probe(self) -> EngineFacts:
        return EngineFacts(max_input_tokens=100, max_total_tokens=1000)

    async def count_tokens(self, text: str) -> int:
        return len(text)

    async def generate(
        self, text: str, parameters: GenerationParameters, headers: Mapping[str, str] | None = None
    ) -> Generated:
        if text == "Hello":
            return Generated(text="x")
        raise RuntimeError(f"a defect at {text} with {parameters} and {headers}")

    async def stream(
        self,
        text: str,
        parameters: GenerationParameters,
        take: Callable[[Pieces], bool],
        headers: Mapping[str, str] | None = None,
    ) -> Generated | None:
        generated = await self.generate(text, parameters, headers)
        take(Pieces(texts=(generated.text,), generated=generated))
        return generated

    async def forward(self, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> Forwarded:
        assert headers is None
        return Forwarded(path.encode() + body, {})

    async def forward_stream(
        self, path: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> AsyncGenerator[list[Event], None]:
        yield [Event((await self.forward(path, body, headers)).body, {})]


class BrokenEngines:
    def open(self, url: str) -> Engine:
        assert url
        return BrokenEngine()

    async def close(self) -> None:
        pass


def test_a_defect_of_the_proxy_is_a_500_in_the_usual_shape(tmp_path: Path) -> None:
    async def load() -> Engines:
        return BrokenEngines()

    with running_proxy(tmp_path / "routes.json", route_table("http://127.0.0.1:9"), load) as proxy:
        proxy.wait_for("active")
        answers = [proxy.generate(num_return_sequences=count) for count in (1, 2)]

    for answer in answers:
        assert answer.status_code == 500
        request_id = answer.headers["X-Request-ID"]
        assert answer.json()["detail"].startswith("Generation failed: internal error of the proxy")
        assert request_id in answer.json()["detail"]
