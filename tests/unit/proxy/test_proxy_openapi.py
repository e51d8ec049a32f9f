"""Requests made up from the proxy's own OpenAPI document find no 5xx and no answer that it does not declare."""

import json
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode

from fakes.fake_engine import Failure, FakeEngine
from fakes.running_proxy import RunningProxy
from scout_proxy.contract import GenerateRequest

BOUNDED = settings(
    max_examples=60, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize("path", ["/", "/health", "/status", "/metrics"])
def test_every_answer_to_a_look_is_declared(proxy: RunningProxy, path: str) -> None:
    operation = schemathesis.openapi.from_url(proxy.url + "/openapi.json")[path]["GET"]

    operation.Case().call_and_validate()


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_every_answer_to_generate_is_declared(proxy: RunningProxy, mode: GenerationMode) -> None:
    operation = schemathesis.openapi.from_url(proxy.url + "/openapi.json")["/generate"]["POST"]
    statuses: set[int] = set()

    @BOUNDED
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Case[Any]) -> None:
        statuses.add(case.call_and_validate().status_code)

    ask()
    assert statuses == ({200} if mode is GenerationMode.POSITIVE else {422})


@pytest.mark.parametrize("failure", [Failure.GENERATION, Failure.OVERLOADED, Failure.CLOSED, Failure.VALIDATION])
def test_every_failure_is_declared(proxy: RunningProxy, engine: FakeEngine, failure: Failure) -> None:
    operation = schemathesis.openapi.from_url(proxy.url + "/openapi.json")["/generate"]["POST"]
    engine.behaviour.failure = failure

    answer = proxy.generate()

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
