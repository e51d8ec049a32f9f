"""Bodies that are not what they should be, answered as TGI's web framework does."""

import pytest

from scout_engine.errors import BodyError
from scout_engine.fields import parse_json
from scout_engine.generate_request import GenerateParameters, GenerateRequest, parse_generate_request

CANNOT_READ = "Failed to deserialize the JSON body into the target type: "


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"inputs": "x"', "Expecting ',' delimiter at line 1 column 15"),
        (b"", "Expecting value at line 1 column 1"),
        (b'{"inputs": NaN}', "expected value, got NaN"),
        (b'{"inputs": Infinity}', "expected value, got Infinity"),
        (b"\xff\xfe", "invalid unicode code point"),
        (b"[" * 100_000, "recursion limit exceeded"),
        (b"[" * 200 + b"]" * 200, "recursion limit exceeded"),
        (b"1" * 5000, "number out of range"),
    ],
)
def test_what_is_no_json_is_400(body: bytes, message: str) -> None:
    with pytest.raises(BodyError, match="Failed to parse the request body as JSON: ") as failure:
        parse_json(body)

    assert failure.value.status == 400
    assert message in str(failure.value)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"[]", "invalid type: sequence, expected struct GenerateRequest"),
        (b"{}", "missing field `inputs`"),
        (b'{"inputs": 5}', "inputs: invalid type: integer `5`, expected a string"),
        (b'{"inputs": "x", "parameters": null}', "parameters: invalid type: null, expected struct GenerateParameters"),
        (
            b'{"inputs": "x", "parameters": {"temperature": "hot"}}',
            'parameters.temperature: invalid type: string "hot", expected f32',
        ),
        (b'{"inputs": "x", "parameters": {"temperature": true}}', "invalid type: boolean `true`, expected f32"),
        (b'{"inputs": "x", "parameters": {"temperature": 1e39}}', "number out of range, expected f32"),
        (b'{"inputs": "x", "parameters": {"top_k": 1.5}}', "invalid type: floating point `1.5`, expected i32"),
        (b'{"inputs": "x", "parameters": {"max_new_tokens": -1}}', "invalid value: integer `-1`, expected u32"),
        (b'{"inputs": "x", "parameters": {"seed": 18446744073709551616}}', "expected u64"),
        (b'{"inputs": "x", "parameters": {"stop": "end"}}', 'invalid type: string "end", expected a sequence'),
        (b'{"inputs": "x", "parameters": {"stop": [1]}}', "parameters.stop[0]: invalid type: integer `1`"),
        (b'{"inputs": "x", "parameters": {"do_sample": 1}}', "invalid type: integer `1`, expected a boolean"),
        (b'{"inputs": "x", "parameters": {"grammar": {"type": "bnf", "value": 1}}}', "unknown variant `bnf`"),
        (b'{"inputs": "x", "parameters": {"grammar": {"type": "json"}}}', "missing field `value`"),
    ],
)
def test_a_wrong_type_is_422(body: bytes, message: str) -> None:
    with pytest.raises(BodyError) as failure:
        parse_generate_request(parse_json(body))

    assert failure.value.status == 422
    assert str(failure.value).startswith(CANNOT_READ)
    assert message in str(failure.value)


@pytest.mark.parametrize("body", [b'{"inputs": "\\ud800"}', b'{"inputs": "x", "parameters": {"stop": ["\\udfff"]}}'])
def test_a_lone_surrogate_is_400(body: bytes) -> None:
    with pytest.raises(BodyError, match="lone surrogate") as failure:
        parse_generate_request(parse_json(body))

    assert failure.value.status == 400


def test_absent_parameters_sample_and_empty_ones_do_not() -> None:
    assert parse_generate_request({"inputs": "x"}).parameters.do_sample is True
    assert parse_generate_request({"inputs": "x", "parameters": {}}).parameters.do_sample is False


def test_unknown_fields_and_null_are_ignored() -> None:
    parsed = parse_generate_request({"inputs": "x", "parameters": {"n": 3, "temperature": None}, "extra": 1})

    assert parsed == GenerateRequest(inputs="x", parameters=GenerateParameters())


def test_a_float_is_rounded_to_32_bits() -> None:
    parsed = parse_generate_request({"inputs": "x", "parameters": {"top_p": 0.99999999}})

    assert parsed.parameters.top_p == 1.0
