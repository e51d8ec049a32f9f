import json
from typing import Any

import pytest

from scout_proxy.errors import InvalidRequestError
from scout_proxy.generate.contract import GenerateRequest, parse_generate_request


def parse(body: bytes | str | dict[str, Any], limit: int = 8) -> GenerateRequest:
    raw = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    return parse_generate_request(raw, max_num_return_sequences=limit)


def refusal(body: bytes | str | dict[str, Any]) -> list[dict[str, Any]]:
    with pytest.raises(InvalidRequestError) as caught:
        parse(body)
    items: list[dict[str, Any]] = caught.value.detail
    json.dumps(items, allow_nan=False).encode()
    return items


def test_defaults_are_the_documented_ones() -> None:
    assert parse({"prompt": "p"}).echo() == {
        "prompt": "p",
        "max_length": 512,
        "temperature": 0.7,
        "top_p": 0.9,
        "top_k": 50,
        "num_return_sequences": 1,
    }


@pytest.mark.parametrize("field", ["max_length", "temperature", "top_p", "top_k", "num_return_sequences"])
def test_null_is_the_default_of_an_optional_field(field: str) -> None:
    assert parse({"prompt": "p", field: None}) == parse({"prompt": "p"})


def test_a_whole_number_written_as_a_fraction_is_that_number() -> None:
    request = parse('{"prompt": "p", "max_length": 512.0, "top_k": 5e1, "temperature": 1, "top_p": 1}')

    assert (request.max_length, request.top_k, request.temperature, request.top_p) == (512, 50, 1.0, 1.0)
    assert type(request.max_length) is int


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("prompt", '""'),
        ("prompt", "null"),
        ("prompt", "5"),
        ("prompt", '["p"]'),
        ("max_length", "0"),
        ("max_length", "-1"),
        ("max_length", "1.5"),
        ("max_length", '"512"'),
        ("max_length", "true"),
        ("max_length", "2147483648"),
        ("max_length", "1e300"),
        ("max_length", "[]"),
        ("temperature", "-0.1"),
        ("temperature", '"0.7"'),
        ("temperature", "false"),
        ("temperature", "NaN"),
        ("temperature", "Infinity"),
        ("temperature", "1e400"),
        ("top_p", "0"),
        ("top_p", "1.01"),
        ("top_p", "NaN"),
        ("top_k", "-1"),
        ("top_k", "2.5"),
        ("top_k", "1" * 30),
        ("num_return_sequences", "0"),
        ("num_return_sequences", "9"),
        ("num_return_sequences", "true"),
    ],
)
def test_a_bad_value_is_refused_at_its_field(field: str, value: str) -> None:
    other = "" if field == "prompt" else ', "prompt": "p"'

    items = refusal(f'{{"{field}": {value}{other}}}')

    assert [item["loc"] for item in items] == [["body", field]]
    assert {"type", "loc", "msg"} <= items[0].keys()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b'{"prompt": "a" "b"}',
        b'{"prompt": "\xff\xfe"}',
        '{"prompt": "p"}'.encode("utf-16"),
        b'{"prompt": "\\ud800"}',
        b'{"prompt": "\\udc00 x"}',
        b'{"\\ud800": 1, "prompt": "p"}',
        b'{"prompt": "\xed\xa0\x80"}',
        b"[" * 200_000,
        b'{"a":' * 100_000,
        b'{"prompt": ' + b"9" * 10_000 + b"}",
    ],
    ids=lambda body: repr(body[:20]),
)
def test_a_body_that_is_no_json_object_of_text_is_refused(body: bytes) -> None:
    (item,) = refusal(body)

    assert item["loc"] == ["body"]
    assert item["msg"]


def test_a_lone_surrogate_is_named() -> None:
    (item,) = refusal(b'{"prompt": "\\ud800"}')

    assert "lone surrogate" in item["msg"]


def test_a_surrogate_pair_is_text() -> None:
    assert parse(b'{"prompt": "\\ud83d\\ude00"}').prompt == "\N{GRINNING FACE}"


@pytest.mark.parametrize(
    ("unknown", "nearest"),
    [
        ("max_lenght", "max_length"),
        ("topp", "top_p"),
        ("Prompt", "prompt"),
        ("n", "num_return_sequences"),
        ("max_new_tokens", "max_length"),
    ],
)
def test_an_unknown_field_names_the_nearest_known_one(unknown: str, nearest: str) -> None:
    (item,) = refusal({"prompt": "p", unknown: 1})

    assert item["type"] == "extra_forbidden"
    assert item["loc"] == ["body", unknown]
    assert f"nearest known one is '{nearest}" in item["msg"]


def test_a_refusal_does_not_echo_what_is_long() -> None:
    items = refusal({"prompt": 5, "x" * 1_000_000: "y" * 900_000, "temperature": "z" * 50_000})

    assert len(json.dumps(items)) < 3_000


def test_a_refusal_lists_a_bounded_number_of_reasons() -> None:
    assert len(refusal({str(number): number for number in range(500)})) == 20
    (item,) = refusal({str(number): number for number in range(50_000)})
    # The prompt is missing too.
    assert item["msg"] == "The body has 50001 errors; it is no request to this API"


def test_of_a_name_given_twice_the_last_counts() -> None:
    assert parse('{"prompt": "a", "prompt": "b"}').prompt == "b"
