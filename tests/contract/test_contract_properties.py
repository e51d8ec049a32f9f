"""Requests made up from the served OpenAPI document, and bodies of any bytes, get nothing but declared answers."""

import json
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.schemas import BaseSchema

from contract.api import TIMEOUT_S, Api

FIELDS = ["prompt", "max_length", "temperature", "top_p", "top_k", "num_return_sequences", "stream", "max_tokens"]
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from([0, 1, 2**31 - 1, 2**31, 2**63, 1.0, "1", ""])
    | st.text(st.characters(exclude_categories=()), max_size=8),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=5,
)
# A short answer where nothing else is drawn, so that the time goes into requests and not into tokens.
OBJECTS = st.dictionaries(st.sampled_from(FIELDS), JSON_VALUES, max_size=4).map(
    lambda drawn: {"prompt": "a", **drawn, "max_length": drawn.get("max_length") or 1}
)
BODIES = (
    st.binary(max_size=60)
    | JSON_VALUES.map(lambda value: json.dumps(value).encode())
    | OBJECTS.map(lambda value: json.dumps(value).encode())
    | st.tuples(OBJECTS, st.integers(0, 40), st.binary(min_size=1, max_size=2)).map(
        lambda drawn: _damaged(json.dumps(drawn[0]).encode(), drawn[1], drawn[2])
    )
)


def _damaged(body: bytes, at: int, bytes_there: bytes) -> bytes:
    return body[:at] + bytes_there + body[at + len(bytes_there) :]


def _shorten(case: Case[Any]) -> None:
    """Ask for few tokens: `max_length` has tests of its own, here it would only take time."""
    body = case.body
    assert isinstance(body, dict)
    drawn = body.get("max_length")
    body["max_length"] = drawn % 16 + 1 if isinstance(drawn, int) else 16


def bounded(max_examples: int) -> settings:
    """Draw the same requests in every run, keep nothing, and let a slow machine be slow."""
    return settings(
        max_examples=max_examples,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture(scope="module")
def document(api: Api) -> BaseSchema:
    return schemathesis.openapi.from_url(f"{api.url}/openapi.json", timeout=TIMEOUT_S)


@pytest.mark.parametrize("path", ["/", "/health", "/status", "/metrics"])
def test_every_answer_to_a_look_is_declared(document: BaseSchema, path: str) -> None:
    operation = document[path]["GET"]

    operation.Case().call_and_validate(timeout=TIMEOUT_S)


@pytest.mark.parametrize(
    ("mode", "expected"), [(GenerationMode.POSITIVE, 200), (GenerationMode.NEGATIVE, 422)], ids=["valid", "invalid"]
)
def test_every_made_up_request_gets_a_declared_answer(
    document: BaseSchema, mode: GenerationMode, expected: int
) -> None:
    operation = document["/generate"]["POST"]
    statuses: set[int] = set()

    @bounded(50)
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Case[Any]) -> None:
        if mode is GenerationMode.POSITIVE:
            _shorten(case)
        statuses.add(case.call_and_validate(timeout=TIMEOUT_S).status_code)

    ask()

    assert statuses == {expected}


def test_any_bytes_get_a_declared_answer_below_500(api: Api, document: BaseSchema) -> None:
    operation = document["/generate"]["POST"]
    statuses: set[int] = set()

    @bounded(150)
    @given(BODIES)
    def ask(body: bytes) -> None:
        with requests.post(f"{api.url}/generate", data=body, timeout=TIMEOUT_S) as answer:
            operation.validate_response(answer)
            statuses.add(answer.status_code)

    ask()

    assert statuses == {200, 422}
