"""Requests made up from the proxy's own OpenAPI document find no 5xx and no answer that it does not declare."""

import json
from typing import Any, NamedTuple

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.schemas import BaseSchema

from fakes.fake_engine import Failure, FakeEngine
from fakes.running_proxy import RunningProxy
from scout_proxy.generate.contract import GenerateRequest

BOUNDED = settings(
    max_examples=60, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
# An engine answers these, and what is made up takes more time than the answers: the proxy's part is the same for all.
FEW = settings(BOUNDED, max_examples=20)
MOST_STOP_STRINGS = 4


class Forwarded(NamedTuple):
    """A route whose requests go to the engine's own: a valid body, and the status of another."""

    body: dict[str, Any]
    refused: int


FORWARDED = {
    "/": Forwarded({"inputs": "hello"}, 422),
    "/generate_stream": Forwarded({"inputs": "hello"}, 422),
    "/tokenize": Forwarded({"inputs": "hello"}, 422),
    "/v1/chat/completions": Forwarded({"messages": [{"role": "user", "content": "hello"}]}, 400),
    "/v1/completions": Forwarded({"prompt": "hello"}, 400),
}
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def document(shared_service: Any) -> BaseSchema:
    """The proxy's document, which is the same whatever engines do."""
    return schemathesis.openapi.from_url(shared_service.proxy.url + "/openapi.json", timeout=60)


@pytest.mark.parametrize("path", ["/", "/health", "/status", "/metrics", "/info", "/v1/models"])
def test_every_answer_to_a_look_is_declared(proxy: RunningProxy, document: BaseSchema, path: str) -> None:
    operation = document[path]["GET"]

    operation.Case().call_and_validate(base_url=proxy.url)


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_every_answer_to_generate_is_declared(proxy: RunningProxy, document: BaseSchema, mode: GenerationMode) -> None:
    operation = document["/generate"]["POST"]
    statuses: set[int] = set()

    @BOUNDED
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Case[Any]) -> None:
        if mode is GenerationMode.POSITIVE:
            # How many an engine takes is its own, and in no document.
            assert isinstance(case.body, dict)
            stop = case.body.get("stop")
            case.body["stop"] = stop[:MOST_STOP_STRINGS] if isinstance(stop, list) else None
        statuses.add(case.call_and_validate(base_url=proxy.url).status_code)

    ask()
    assert statuses == ({200} if mode is GenerationMode.POSITIVE else {422})


@pytest.mark.parametrize("path", FORWARDED)
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_every_answer_to_what_is_forwarded_is_declared(
    proxy: RunningProxy, document: BaseSchema, path: str, mode: GenerationMode
) -> None:
    operation = document[path]["POST"]
    statuses: set[int] = set()

    @FEW
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Case[Any]) -> None:
        statuses.add(case.call_and_validate(base_url=proxy.url).status_code)

    ask()
    assert statuses == ({200} if mode is GenerationMode.POSITIVE else {FORWARDED[path].refused})


@pytest.mark.parametrize("path", ["/generate", *(path for path in FORWARDED if path != "/tokenize")])
@pytest.mark.parametrize("failure", [Failure.GENERATION, Failure.OVERLOADED, Failure.CLOSED, Failure.VALIDATION])
def test_every_failure_is_declared(
    proxy: RunningProxy, engine: FakeEngine, document: BaseSchema, failure: Failure, path: str
) -> None:
    operation = document[path]["POST"]
    engine.behaviour.failure = failure
    # An engine at its limit is asked again until then.
    proxy.limit(deadline_s=0.2)

    answer = proxy.post(path, json=FORWARDED[path].body if path in FORWARDED else {"prompt": "hello"})

    assert answer.status_code != 200
    assert operation.is_valid_response(answer)


def test_no_body_whatever_is_a_5xx(proxy: RunningProxy) -> None:
    names = st.sampled_from([*GenerateRequest.model_fields, "other"])

    @BOUNDED
    @given(fields=st.dictionaries(names, JSON_VALUES, max_size=4), body=st.none() | st.binary(max_size=60))
    def ask(fields: dict[str, object], body: bytes | None) -> None:
        answer = proxy.post(data=json.dumps(fields).encode() if body is None else body)

        assert answer.status_code in {200, 422}
        assert answer.json()

    ask()
