"""A generation is answered in one of three ways: by the server at once, in front of FastAPI, or by FastAPI.

Which one it is cannot be told from the answer: its bytes are the same, but for what differs between any two requests.
"""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from copy import copy
from dataclasses import dataclass
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import to_json

from fakes.api_keys import ALICE, BOB, api_key, api_keys
from fakes.engine_streams import Ending, Stream
from fakes.engine_waits import Gate
from fakes.fake_engine import Behaviour, Failure, FakeEngine, fake_engine
from fakes.raw_http import RawAnswer, RawConnection, ask_at_once, generate_request
from fakes.running_proxy import DEADLINE_S, RunningProxy, route_table, running_proxy, wait_until
from scout_proxy.app import Proxy
from scout_proxy.generate.front import Front
from scout_proxy.generate.quick_answers import QuickAnswers
from scout_proxy.route_table import Cache, Cors, Keys, Limits

_KEYS = api_keys(api_key("alice", ALICE), api_key("bob", BOB, max_concurrent=1))
_SETTINGS: dict[str, dict[str, Any]] = {
    "open": {},
    "with keys": {"keys": _KEYS},
    "with keys and web pages": {"keys": _KEYS, "cors": Cors(origins=("https://a.example",))},
}


class NoQuickAnswers(QuickAnswers):
    def __init__(self) -> None:
        """Know nothing."""

    def find(self, headers: object, body: bytes) -> None:
        del headers, body


def at_once(proxy: Proxy) -> Proxy:
    return proxy


def in_front(proxy: Proxy) -> Proxy:
    changed = copy(proxy)
    changed.quick = NoQuickAnswers()
    return changed


def by_fastapi(proxy: Proxy) -> Proxy:
    changed = in_front(proxy)
    changed.front = cast("Front", proxy.app)
    return changed


@dataclass(frozen=True)
class Ways:
    """Three proxies before one engine with one place; each goes one way."""

    engine: FakeEngine
    proxies: list[RunningProxy]

    def configure(self, **changes: Any) -> None:
        for proxy in self.proxies:
            proxy.configure(**changes)

    def ask(self, request: bytes) -> RawAnswer:
        """Return what all three answer."""
        return self.compare(lambda proxy: ask_at_once(proxy.port, request))

    def compare(self, ask: Callable[[RunningProxy], RawAnswer]) -> RawAnswer:
        answers = [ask(proxy) for proxy in self.proxies]
        assert _comparable(answers[0]) == _comparable(answers[1]) == _comparable(answers[2])
        return answers[0]

    @contextmanager
    def busy(self, gate: Gate, **fields: object) -> Iterator[None]:
        """Have each proxy ask the engine for something that takes until the end of the block."""
        self.engine.behaviour = _behaviour(gate=gate)
        asking = [threading.Thread(target=proxy.generate, kwargs=fields) for proxy in self.proxies]
        for thread in asking:
            thread.start()
        try:
            wait_until(lambda: self.engine.seen.in_flight == len(asking), "each proxy has asked")
            yield
        finally:
            gate.open()
            for thread in asking:
                thread.join(DEADLINE_S)


def _comparable(answer: RawAnswer) -> tuple[bytes, bytes]:
    head = re.sub(rb"(?m)^(date|age|server-timing|retry-after): .*", rb"\1", answer.head)
    if b"sent-id" not in head:
        head = re.sub(rb"x-request-id: [0-9a-f]+", b"x-request-id", head)
    return head, answer.body


@pytest.fixture(scope="module")
def shared_ways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ways]:
    with fake_engine(_behaviour()) as engine, ExitStack() as running:
        proxies = [
            running.enter_context(
                running_proxy(
                    tmp_path_factory.mktemp("ways") / "routes.json",
                    route_table(engine.url),
                    through=through,
                )
            )
            for through in (at_once, in_front, by_fastapi)
        ]
        yield Ways(engine, proxies)


@pytest.fixture
def ways(shared_ways: Ways) -> Iterator[Ways]:
    wait_until(lambda: shared_ways.engine.seen.in_flight == 0, "nothing is left of the test before")
    for proxy in shared_ways.proxies:
        proxy.wait_for("active")
        proxy.configure(cache=Cache())
    yield shared_ways
    shared_ways.engine.behaviour = _behaviour()
    shared_ways.engine.start()
    for proxy in shared_ways.proxies:
        proxy.restore()


def _behaviour(**changes: Any) -> Behaviour:
    """Return the engine's; it always has one place, for the proxies may look at that at any time."""
    usual: dict[str, Any] = {
        "text": lambda body: f"An answer to {body.get('inputs')!r} 👍",
        "stream": Stream(tokens=(" one", " 二", " three"), together=True),
        "max_concurrent_requests": 1,
    }
    return Behaviour(**{**usual, **changes})


_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "max_length": st.sampled_from([1, 16, 512.0, 2**31 - 1, 0, -1, 1.5, "16", None, True, 2**31]),
    "temperature": st.sampled_from([0, 0.7, 1, 1e300, -1, "1", None, 5e-324]),
    "top_p": st.sampled_from([0.5, 1, 1.0, 0, 1.1, None, []]),
    "top_k": st.sampled_from([0, 50, 50.0, -1, None, {}]),
    "num_return_sequences": st.sampled_from([1, 2, 8, 9, 0, None, "two"]),
    "seed": st.sampled_from([0, 7, 7.0, -1, None, 2**31]),
    "stop": st.sampled_from([[], ["x"], ["answer"], ["a", "b", "c", "d", "e"], [""], "x", [1], None]),
    "repetition_penalty": st.sampled_from([1, 1.2, 0, None, "1"]),
    "stream": st.sampled_from([False, None, 1]),
    "max_tokens": st.just(5),
    "🙂": st.just("unknown"),
}
_PROMPTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["p", "你好", "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n", " ", "", "x" * 5000]),
)
_GOOD: dict[str, list[Any]] = {
    "max_length": [1, 16, 16.0],
    "temperature": [0, 0.7, None],
    "seed": [1, None],
    "num_return_sequences": [1, 2],
}


@st.composite
def _bodies(draw: st.DrawFn) -> bytes:
    """Write a request: mostly a good one, else one that is wrong in its fields, or no JSON at all."""
    kind = draw(st.sampled_from(["good", "good", "good", "fields", "fields", "broken"]))
    fields: dict[str, Any] = {"prompt": draw(_PROMPTS.filter(bool) if kind == "good" else _PROMPTS)}
    if kind == "good":
        for name in draw(st.sets(st.sampled_from(sorted(_GOOD)))):
            fields[name] = draw(st.sampled_from(_GOOD[name]))
    else:
        for name in draw(st.lists(st.sampled_from(sorted(_FIELDS)), unique=True, max_size=5)):
            fields[name] = draw(_FIELDS[name])
    body = to_json(dict(draw(st.permutations(list(fields.items())))), indent=draw(st.sampled_from([None, 2])))
    if kind == "broken":
        place = draw(st.integers(0, len(body)))
        body = body[:place] + draw(st.sampled_from([b"", b"\xff", b"}", b'"', b"\\ud800", b"\x00"]))
    return body


_HEADERS = st.lists(
    st.sampled_from(
        [
            "X-Request-ID: sent-id-1",
            "X-Request-ID: not a sane one",
            "Cache-Control: no-cache",
            "Cache-Control: max-age=100",
            "Cache-Control: no-store",
            "Pragma: no-cache",
            "Connection: close",
            "Connection: Close",
            "Connection: keep-alive",
            "Origin: https://a.example",
            "Origin: https://b.example",
            "Accept: text/plain",
            "Accept-Encoding: gzip",
            "Content-Encoding: gzip",
            "Content-Encoding: identity",
            "Expect: 100-continuous",
            "Cookie: a=b",
            "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            f"Authorization: Bearer {BOB}",
            "Authorization: Bearer nobody's-key",
            "Authorization: Basic YTpi",
        ]
    ),
    unique=True,
    max_size=3,
)


@pytest.mark.parametrize("chosen", _SETTINGS)
def test_all_ways_give_the_same_bytes(ways: Ways, chosen: str) -> None:
    ways.configure(**_SETTINGS[chosen])
    seen: set[tuple[int, str | None]] = set()

    @given(body=_bodies(), headers=_HEADERS, version=st.sampled_from(["1.1", "1.1", "1.0"]))
    @settings(derandomize=True, max_examples=60, deadline=None)
    def check(body: bytes, headers: list[str], version: str) -> None:
        if "keys" in chosen and not any(header.startswith("Authorization") for header in headers):
            headers = [*headers, f"Authorization: Bearer {ALICE}"]
        for _ in range(2):
            answer = ways.ask(generate_request(body, *headers, version=version))
            seen.add((answer.status, answer.headers.get("x-cache")))

    check()

    refused = {(401, None)} if "keys" in chosen else set()
    assert seen >= {(200, "HIT"), (200, "MISS"), (200, "BYPASS"), (422, None), (415, None), *refused}


@pytest.mark.parametrize("headers", [[], [f"Authorization: Bearer {ALICE}"], ["Authorization: Bearer wrong"]])
def test_a_hit_is_the_same_whichever_way_it_takes(ways: Ways, headers: list[str]) -> None:
    ways.configure(keys=_KEYS if headers else None)
    request = generate_request('{"prompt": "Grüße 你好"}'.encode(), "X-Request-ID: sent-id", *headers)
    answers = [ways.ask(request) for _ in range(3)]

    if headers != ["Authorization: Bearer wrong"]:
        assert [answer.headers["x-cache"] for answer in answers] == ["MISS", "HIT", "HIT"]
    else:
        assert [answer.status for answer in answers] == [401] * 3


@pytest.mark.parametrize(("first", "second", "status"), [(ALICE, "wrong", 200), ("wrong", ALICE, 401)])
def test_of_a_header_that_is_sent_twice_the_first_one_counts(ways: Ways, first: str, second: str, status: int) -> None:
    ways.configure(keys=_KEYS)
    headers = [f"Authorization: Bearer {first}", f"Authorization: Bearer {second}", "X-Request-ID: sent-id-1"]
    request = generate_request(b'{"prompt": "p"}', *headers, "X-Request-ID: sent-id-2")
    answers = [ways.ask(request) for _ in range(2)]

    assert [(answer.status, answer.headers["x-request-id"]) for answer in answers] == [(status, "sent-id-1")] * 2


def test_a_connection_is_used_again_after_each_way(ways: Ways) -> None:
    requests = [generate_request(b'{"prompt": "%b"}' % prompt) for prompt in (b"a", b"a", b"b", b"a", b"", b"b")]

    def ask_all(proxy: RunningProxy) -> RawAnswer:
        with RawConnection(proxy.port) as connection:
            answers = [connection.ask(request) for request in requests]
        assert [answer.headers.get("x-cache") for answer in answers] == ["MISS", "HIT", "MISS", "HIT", None, "HIT"]
        return RawAnswer(
            head=b"\r\n".join(_comparable(answer)[0] for answer in answers),
            body=b"".join(answer.body for answer in answers),
        )

    ways.compare(ask_all)


def test_requests_that_come_all_together_are_answered_in_their_order(ways: Ways) -> None:
    known, fresh = (generate_request(b'{"prompt": "%b"}' % prompt) for prompt in (b"known", b"fresh"))
    ways.ask(known)

    def ask_all(proxy: RunningProxy) -> RawAnswer:
        with RawConnection(proxy.port) as connection:
            connection.send(known + fresh + known + fresh)
            answers = [connection.answer() for _ in range(4)]
        assert [answer.headers["x-cache"] for answer in answers] == ["HIT", "MISS", "HIT", "HIT"]
        return RawAnswer(head=b"HTTP/1.1 200 OK", body=b"".join(answer.body for answer in answers))

    ways.compare(ask_all)


@pytest.mark.parametrize("count", [1, 2])
def test_streams_are_the_same(ways: Ways, count: int) -> None:
    request = generate_request(b'{"prompt": "p", "stream": true, "num_return_sequences": %d}' % count)
    outcomes = [ways.ask(request).headers["x-cache"] for _ in range(2)]

    assert outcomes == ["MISS", "HIT"]


def test_streams_that_fail_are_the_same(ways: Ways) -> None:
    request = generate_request(b'{"prompt": "p", "stream": true}')
    ways.engine.behaviour = _behaviour(stream=Stream(ending=Ending.GENERATION, ends_after=1))
    assert b"event: error" in ways.ask(request).body
    ways.engine.behaviour = _behaviour(stream=Stream(ending=Ending.GENERATION, ends_after=0))
    assert ways.ask(request).status == 500


@pytest.mark.parametrize("keys", [None, _KEYS])
def test_a_body_that_does_not_come_is_a_408(ways: Ways, keys: Keys | None) -> None:
    ways.configure(limits=Limits(body_timeout_s=0.05), keys=keys)
    request = generate_request(b'{"prompt": "p"}', f"Authorization: Bearer {ALICE}")[:-1]

    assert ways.ask(request).status == 408


def test_a_body_that_is_too_large_is_a_413(ways: Ways) -> None:
    ways.configure(limits=Limits(max_body_bytes=100))

    assert ways.ask(generate_request(b'{"prompt": "%b"}' % (b"x" * 100))).status == 413
    assert ways.ask(generate_request(b'{"prompt": "p"}')).status == 200


def test_a_full_line_is_a_429(ways: Ways, gate: Gate) -> None:
    ways.configure(limits=Limits(max_waiting=0))
    with ways.busy(gate):
        answer = ways.ask(generate_request(b'{"prompt": "p"}'))

    assert (answer.status, answer.headers["retry-after"]) == (429, "1")


def test_a_key_that_asks_too_much_is_a_429(ways: Ways) -> None:
    ways.configure(keys=api_keys(api_key("alice", ALICE, requests_per_minute=1)))
    request = generate_request(b'{"prompt": "p"}', f"Authorization: Bearer {ALICE}")

    assert [ways.ask(request).status for _ in range(2)] == [200, 429]


@pytest.mark.parametrize("failure", [Failure.GENERATION, Failure.VALIDATION, Failure.GARBAGE, Failure.NOT_HTTP])
def test_what_the_engine_does_wrong_is_the_same(ways: Ways, failure: Failure) -> None:
    ways.engine.behaviour = _behaviour(failure=failure, proof_failure=Failure.NONE)

    assert ways.ask(generate_request(b'{"prompt": "p"}')).status in {422, 500}


def test_a_lost_engine_is_a_503(ways: Ways) -> None:
    ways.engine.kill()
    for proxy in ways.proxies:
        proxy.generate()
        proxy.wait_for("unavailable")
    answer = ways.ask(generate_request(b'{"prompt": "p"}', "X-Request-ID: sent-id-2"))

    assert (answer.status, answer.json()) == (503, {"detail": "Model or tokenizer not loaded"})
    assert answer.headers["x-request-id"] == "sent-id-2"


@pytest.mark.parametrize("stream", [b"true", b"false"])
def test_a_deadline_that_passes_is_a_504(ways: Ways, gate: Gate, stream: bytes) -> None:
    ways.configure(limits=Limits(deadline_s=0.05))
    ways.engine.behaviour = _behaviour(gate=gate, stream=Stream())

    assert ways.ask(generate_request(b'{"prompt": "p", "stream": %b}' % stream)).status == 504


def wait_for_sharing(proxy: RunningProxy, count: int) -> None:
    wait_until(lambda: proxy.status()["cache"]["coalesced"] == count, "the generation is shared")


def test_a_request_that_shares_a_generation_is_the_same(ways: Ways, gate: Gate) -> None:
    before = [proxy.status()["cache"]["coalesced"] for proxy in ways.proxies]
    with ExitStack() as opened:
        opened.enter_context(ways.busy(gate, prompt="p"))
        sharing = {proxy.port: opened.enter_context(RawConnection(proxy.port)) for proxy in ways.proxies}
        for connection in sharing.values():
            connection.send(generate_request(b'{"prompt": "p"}'))
        for proxy, count in zip(ways.proxies, before, strict=True):
            wait_for_sharing(proxy, count + 1)
        gate.open()
        answer = ways.compare(lambda proxy: sharing[proxy.port].answer())

    assert (answer.status, answer.headers["x-cache"]) == (200, "COALESCED")
