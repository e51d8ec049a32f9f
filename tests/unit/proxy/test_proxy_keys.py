"""API keys, their limits and CORS on a real socket, on every way that a request can be answered."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from fakes.api_keys import ALICE, BOB, api_key, api_keys, bearer
from fakes.engine_waits import Gate
from fakes.fake_engine import Behaviour, FakeEngine
from fakes.running_proxy import DEADLINE_S, RunningProxy, wait_until
from scout_proxy.route_table import Cache, Cors

PAGE = {"Origin": "https://chat.example"}


def generate(proxy: RunningProxy, key: str | None = ALICE, **more: Any) -> requests.Response:
    return proxy.post(json={"prompt": "p"}, headers={} if key is None else bearer(key), **more)


def statuses(proxy: RunningProxy, engine: FakeEngine, requests_: int, key: str = ALICE) -> list[int]:
    """Ask so often at once: the engine answers when each request has reached it or was refused."""
    gate = Gate()
    engine.behaviour = Behaviour(gate=gate)
    with ThreadPoolExecutor(requests_) as pool:
        asked = [pool.submit(generate, proxy, key) for _ in range(requests_)]
        try:
            wait_until(
                lambda: engine.seen.in_flight + sum(one.done() for one in asked) == requests_,
                "all are there or refused",
            )
        finally:
            gate.open()
        return sorted(one.result().status_code for one in asked)


def test_a_generation_needs_a_key_and_leaves_the_engine_alone_without_one(
    proxy: RunningProxy, engine: FakeEngine
) -> None:
    proxy.configure(keys=api_keys())

    for key in (None, "a-key-that-nobody-has"):
        refused = generate(proxy, key)
        assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert refused.json().keys() == {"detail"}
        assert "X-Request-ID" in refused.headers
    assert engine.seen.generations == []
    assert generate(proxy).status_code == 200


def test_a_stored_answer_needs_a_key_too(proxy: RunningProxy) -> None:
    proxy.configure(keys=api_keys(), cache=Cache())
    assert [generate(proxy).headers["X-Cache"] for _ in range(3)] == ["MISS", "HIT", "HIT"]

    for key in (None, "a-key-that-nobody-has"):
        assert generate(proxy, key).status_code == 401
    assert generate(proxy, BOB).headers["X-Cache"] == "HIT"


def test_what_tells_of_the_service_stays_open(proxy: RunningProxy) -> None:
    proxy.configure(keys=api_keys())

    answers = {path: proxy.get(path).status_code for path in ("/", "/health", "/docs", "/openapi.json", "/nothing")}
    assert answers == {"/": 200, "/health": 200, "/docs": 200, "/openapi.json": 200, "/nothing": 401}
    assert (proxy.get("/metrics").status_code, proxy.get("/status").status_code) == (401, 401)
    assert proxy.get("/status", headers=bearer(ALICE)).status_code == 200
    proxy.configure(keys=api_keys(open_metrics=True, open_status=True))
    assert (proxy.get("/metrics").status_code, proxy.get("/status").status_code) == (200, 200)


def test_the_openapi_document_says_which_routes_need_a_key(proxy: RunningProxy) -> None:
    open_to_all = proxy.get("/openapi.json").json()
    proxy.configure(keys=api_keys(open_metrics=True))

    document = proxy.get("/openapi.json").json()

    assert "securitySchemes" not in open_to_all["components"]
    assert document["components"]["securitySchemes"] == {"bearer": {"type": "http", "scheme": "bearer"}}
    needs = {
        f"{method.upper()} {path}": operation.get("security")
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    unlocked = {name for name, security in needs.items() if security is None}
    assert unlocked == {"GET /", "GET /health", "GET /metrics"}
    assert all(needs[name] == [{"bearer": []}] for name in needs.keys() - unlocked)
    assert {"POST /generate", "POST /", "GET /status", "POST /v1/chat/completions"} < needs.keys()


@pytest.mark.parametrize(
    ("path", "shape"), [("/v1/chat/completions", {"error"}), ("/", {"error", "error_type"}), ("/generate", {"detail"})]
)
def test_a_refusal_has_the_form_that_the_routes_clients_read(proxy: RunningProxy, path: str, shape: set[str]) -> None:
    proxy.configure(keys=api_keys())

    refused = proxy.post(path, json={})

    assert refused.status_code == 401
    assert refused.json().keys() == shape


def test_a_large_body_without_a_key_is_a_readable_401(proxy: RunningProxy) -> None:
    proxy.configure(keys=api_keys())

    assert proxy.post(data=b"x" * 5_000_000).status_code == 401


def test_a_key_that_was_taken_off_the_table_no_longer_gets_what_is_stored(proxy: RunningProxy) -> None:
    proxy.configure(keys=api_keys(), cache=Cache())
    generate(proxy, BOB)
    assert generate(proxy, BOB).headers["X-Cache"] == "HIT"

    proxy.configure(keys=api_keys(api_key("alice", ALICE)))

    assert generate(proxy, BOB).status_code == 401
    assert generate(proxy, ALICE).headers["X-Cache"] == "HIT"


def test_a_keys_requests_at_once_are_bounded_and_the_others_are_not(proxy: RunningProxy, engine: FakeEngine) -> None:
    proxy.configure(keys=api_keys(api_key("alice", ALICE, max_concurrent=2), api_key("bob", BOB)))

    assert statuses(proxy, engine, 5) == [200, 200, 429, 429, 429]
    assert statuses(proxy, engine, 5, BOB) == [200] * 5
    assert statuses(proxy, engine, 2) == [200, 200]


def test_a_client_that_goes_away_gives_its_keys_place_back(proxy: RunningProxy, engine: FakeEngine, gate: Gate) -> None:
    proxy.configure(keys=api_keys(api_key("alice", ALICE, max_concurrent=1)))
    engine.behaviour = Behaviour(gate=gate)
    with proxy.connect() as connection:
        body = b'{"prompt": "p"}'
        head = f"POST /generate HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ALICE}\r\nContent-Length: {len(body)}\r\n"
        connection.sendall(head.encode() + b"\r\n" + body)
        wait_until(lambda: engine.seen.in_flight == 1, "the engine has the request")
        assert generate(proxy).status_code == 429

    wait_until(lambda: engine.seen.in_flight == 0, "the request has ended")
    gate.open()
    wait_until(lambda: generate(proxy).status_code == 200, "the place is free again")


def test_a_minutes_requests_are_counted_where_answers_are_stored_too(proxy: RunningProxy) -> None:
    proxy.configure(keys=api_keys(api_key("alice", ALICE, requests_per_minute=3)), cache=Cache())

    answers = [generate(proxy) for _ in range(5)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert answers[3].json()["detail"].startswith("API key 'alice' is at its limit of 3 requests per minute")
    assert 1 <= int(answers[3].headers["Retry-After"]) <= 20


def test_without_origins_a_page_learns_nothing(proxy: RunningProxy) -> None:
    answer = proxy.post(json={"prompt": "p"}, headers=PAGE)

    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize("path", ["/generate", "/status", "/v1/models"])
def test_a_page_that_may_reads_answers_and_refusals(proxy: RunningProxy, path: str) -> None:
    proxy.configure(keys=api_keys(), cors=Cors(origins=(PAGE["Origin"],)))

    for headers in (PAGE, {**PAGE, **bearer(ALICE)}):
        answer = (
            proxy.post(json={"prompt": "p"}, headers=headers)
            if path == "/generate"
            else proxy.get(path, headers=headers)
        )
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE["Origin"]
        assert answer.headers["Vary"] == "Origin"
    question = {**PAGE, "Access-Control-Request-Method": "POST"}
    asked = requests.options(proxy.url + path, headers=question, timeout=DEADLINE_S)
    assert (asked.status_code, asked.headers["Access-Control-Allow-Methods"]) == (204, "GET, HEAD, POST, OPTIONS")


def test_a_stored_answer_says_that_it_depends_on_the_page_as_every_other_does(proxy: RunningProxy) -> None:
    proxy.configure(cache=Cache(), cors=Cors(origins=(PAGE["Origin"],)))

    answers = [proxy.post(json={"prompt": "p"}) for _ in range(3)]

    assert [answer.headers.get("Vary") for answer in answers] == ["Origin"] * 3
