"""What is wrong with a request is said in one shape, whatever it is, and nothing is lost by it."""

import json

import pytest

from contract.api import Api, assert_invalid, read_answer

FIELDS = ["prompt", "max_length", "temperature", "top_p", "top_k", "num_return_sequences"]
INTEGERS = ["max_length", "top_k", "num_return_sequences"]
NUMBERS = [*INTEGERS, "temperature", "top_p"]
MEGABYTES = 10 * 1024 * 1024


def body_with(field: str, value: str) -> bytes:
    """Return a body in which one field has this JSON text."""
    fields = {"prompt": '"Name a colour."', "max_length": "4", field: value}
    return ("{" + ", ".join(f'"{name}": {text}' for name, text in fields.items()) + "}").encode()


def test_an_empty_object_misses_its_prompt(api: Api) -> None:
    assert_invalid(api.post(b"{}"), field="prompt")


def test_an_empty_prompt_is_refused(api: Api) -> None:
    assert_invalid(api.generate(prompt=""), field="prompt")


@pytest.mark.parametrize("value", ["null", "1", "true", "[]", '["a"]', '{"role": "user"}'])
def test_a_prompt_that_is_not_a_string_is_refused(api: Api, value: str) -> None:
    assert_invalid(api.post(body_with("prompt", value)), field="prompt")


@pytest.mark.parametrize("field", NUMBERS)
@pytest.mark.parametrize("value", ["true", "false", '"1"', '""', "[1]", "{}"])
def test_what_is_not_a_number_is_refused_where_one_belongs(api: Api, field: str, value: str) -> None:
    assert_invalid(api.post(body_with(field, value)), field=field)


@pytest.mark.parametrize("field", INTEGERS)
@pytest.mark.parametrize("value", ["1.5", "2147483648", "-2147483649", "1e10", "123456789012345678901234567890"])
def test_what_is_not_a_32_bit_integer_is_refused_where_one_belongs(api: Api, field: str, value: str) -> None:
    assert_invalid(api.post(body_with(field, value)), field=field)


@pytest.mark.parametrize("field", NUMBERS)
@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_a_number_that_is_not_finite_is_refused(api: Api, field: str, value: str) -> None:
    assert_invalid(api.post(body_with(field, value)))


@pytest.mark.parametrize(
    ("unknown", "nearest"),
    [
        ("max_lenght", "max_length"),
        ("maxLength", "max_length"),
        ("max_tokens", "max_length"),
        ("max_new_tokens", "max_length"),
        ("Temperature", "temperature"),
        ("top-p", "top_p"),
        ("topk", "top_k"),
        ("n", "num_return_sequences"),
        ("num_sequences", "num_return_sequences"),
        ("promt", "prompt"),
        ("inputs", "prompt"),
    ],
)
def test_an_unknown_field_names_the_nearest_known_one(api: Api, unknown: str, nearest: str) -> None:
    (item,) = assert_invalid(api.generate(**{unknown: 1}), field=unknown)

    assert f"'{unknown}'" in item["msg"]
    assert f"'{nearest}'" in item["msg"]


def test_every_wrong_field_is_named_at_once(api: Api) -> None:
    items = assert_invalid(api.generate(max_length=0, temperature=-1, top_p=2, top_k=-1, num_return_sequences=0))

    assert {item["loc"][-1] for item in items} == set(NUMBERS)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b'{"prompt": "a"',
        b'{"prompt": "a",}',
        b"{'prompt': 'a'}",
        b'{"prompt": "a"} {}',
        b'{"prompt": "a\nb"}',
        b'{"prompt": "\\x41"}',
        b"prompt=a",
        b"\x00",
        b"null",
        b"true",
        b"1",
        b'"a"',
        b"[]",
        b'[{"prompt": "a"}]',
    ],
)
def test_a_body_that_is_not_a_json_object_is_refused(api: Api, body: bytes) -> None:
    assert_invalid(api.post(body))


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
@pytest.mark.parametrize(
    "around", [b"%b", b'{"prompt":%b}', b'{"prompt":"a","max_length":%b}', b'{"prompt":"a","x":%b}']
)
def test_deep_nesting_is_refused(api: Api, around: bytes, opening: bytes, closing: bytes) -> None:
    deep = opening * 100_000 + b"1" + closing * 100_000

    assert_invalid(api.post(around % deep))
    assert_invalid(api.post(around.partition(b"%b")[0] + opening * 100_000))


@pytest.mark.parametrize("escape", ["\\ud800", "\\udfff", "\\ud83d\\ud83d", "a\\ude00b", "\\ud800\\u0041"])
def test_a_lone_surrogate_is_refused_and_named(api: Api, escape: str) -> None:
    (item,) = assert_invalid(api.post(body_with("prompt", f'"{escape}"')))

    assert "surrogate" in item["msg"]


def test_a_lone_surrogate_in_a_fields_name_is_refused(api: Api) -> None:
    assert_invalid(api.post(b'{"prompt": "a", "\\ud800": 1}'))


def test_a_surrogate_pair_is_text(api: Api) -> None:
    answer = api.post(body_with("prompt", '"\\ud83c\\udf3b"'))

    assert answer.status_code == 200
    assert answer.json()["parameters"]["prompt"] == "🌻"


@pytest.mark.parametrize(
    "body",
    [
        b'{"prompt": "\xff\xfe"}',
        b'{"prompt": "\xc3"}',
        b'{"prompt": "\xed\xa0\x80"}',
        b'{"prompt": "\xc0\xaf"}',
        '{"prompt": "déjà vu"}'.encode("latin-1"),
        '{"prompt": "你好"}'.encode("gb18030"),
        '{"prompt": "hello"}'.encode("utf-16"),
        '{"prompt": "hello"}'.encode("utf-16-le"),
        '{"prompt": "hello"}'.encode("utf-32"),
    ],
)
def test_a_body_that_is_not_utf_8_is_refused(api: Api, body: bytes) -> None:
    assert_invalid(api.post(body))


def test_a_refusal_is_itself_valid_json_without_the_offending_values(api: Api) -> None:
    answer = api.post(body_with("temperature", "1e999"))

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    json.loads(answer.content, parse_constant=refuse)


def test_a_refusal_does_not_repeat_a_long_value(api: Api) -> None:
    answer = api.generate(**{"y" * 100_000: "z" * 100_000})

    assert_invalid(answer)
    assert len(answer.content) < 2_000


def test_a_body_of_10_megabytes_is_a_413_that_the_client_can_read(api: Api) -> None:
    answer = api.post(body_with("prompt", '"' + "a" * MEGABYTES + '"'))

    assert answer.status_code == 413
    assert answer.headers["X-Request-ID"]
    assert answer.json() == {"detail": f"Request body larger than the limit of {_max_body_bytes(api)} bytes"}


def test_a_chunked_body_of_10_megabytes_is_a_413_that_the_client_can_read(api: Api) -> None:
    chunk = b"a" * 65_536
    with api.connect() as connection:
        connection.sendall(b"POST /generate HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(MEGABYTES // len(chunk)):
            connection.sendall(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        connection.sendall(b"0\r\n\r\n")
        answer = read_answer(connection)

    assert answer.status == 413
    assert answer.json() == {"detail": f"Request body larger than the limit of {_max_body_bytes(api)} bytes"}


def test_a_body_of_exactly_the_limit_is_read(api: Api) -> None:
    limit = _max_body_bytes(api)
    small = body_with("prompt", '"Name a colour."')

    assert api.post(small + b" " * (limit - len(small))).status_code == 200
    assert api.post(small + b" " * (limit - len(small) + 1)).status_code == 413


def test_a_client_that_asks_before_it_sends_is_refused_a_body_that_is_too_large(api: Api) -> None:
    with api.connect() as connection:
        connection.sendall(
            b"POST /generate HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n" % MEGABYTES
        )
        answer = read_answer(connection)

    assert answer.status == 413
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize(
    "head",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"HELLO\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST /generate HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n",
        b"POST /generate HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    ],
)
def test_what_is_not_http_is_a_400(api: Api, head: bytes) -> None:
    with api.connect() as connection:
        connection.sendall(head)
        answer = read_answer(connection)

    assert answer.status == 400
    assert answer.json().keys() == {"detail"}


def test_a_head_that_is_too_large_is_a_431(api: Api) -> None:
    with api.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Filler: " + b"a" * 200_000 + b"\r\n\r\n")
        answer = read_answer(connection)

    assert answer.status == 431
    assert answer.json().keys() == {"detail"}


def test_the_wish_for_another_protocol_is_ignored(api: Api) -> None:
    body = b'{"prompt": "Name a colour.", "max_length": 4}'
    wish = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"
    with api.connect() as connection:
        connection.sendall(
            b"POST /generate HTTP/1.1\r\nHost: x\r\n%bContent-Length: %d\r\n\r\n%b" % (wish, len(body), body)
        )
        answer = read_answer(connection)

    assert answer.status == 200
    assert answer.json()["parameters"]["prompt"] == "Name a colour."


def test_a_connection_serves_on_after_a_refused_request(api: Api) -> None:
    answers = []
    with api.connect() as connection:
        for body in (b"{", b'{"prompt": "Name a colour.", "max_length": 4}'):
            connection.sendall(
                b"POST /generate HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
            )
            answers.append(read_answer(connection))

    assert [answer.status for answer in answers] == [422, 200]


def _max_body_bytes(api: Api) -> int:
    limit: int = api.status()["limits"]["max_body_bytes"]
    return limit
