import pytest
from hypothesis import given
from hypothesis import strategies as st

from scout_proxy.cache.answer_form import DIGEST_CHARS, HEAD, MAX_VALUE_BYTES, ReadAnswers, read_value, write_line
from scout_proxy.cache.stored_answers import StoredAnswer

ANSWER = StoredAnswer(texts=("one", "two"), stored_at_s=1764207512.125, generation_s=0.84)
LINE = b'f1186a1dd0ac8ae9d5e0c6ee08a6a6a6 {"at":1764207512.125,"took":0.840000,"texts":["one","two"]}'


def value(*lines: bytes) -> bytes:
    return HEAD + b"".join(line + b"\n" for line in lines)


def with_fields(fields: bytes) -> bytes:
    return value(b"0" * DIGEST_CHARS + b" " + fields)


def line_of(answer: StoredAnswer) -> bytes:
    line = write_line(answer)
    assert line is not None
    return line


def test_a_line_is_a_digest_and_json() -> None:
    line = line_of(ANSWER)

    assert line[DIGEST_CHARS:] == LINE[DIGEST_CHARS:]
    assert read_value(value(line)) == ReadAnswers(answers=(ANSWER,))


def test_the_digest_is_of_the_texts_alone() -> None:
    later = StoredAnswer(texts=ANSWER.texts, stored_at_s=2e9, generation_s=7)
    other = StoredAnswer(texts=("one", "three"), stored_at_s=ANSWER.stored_at_s, generation_s=ANSWER.generation_s)

    assert line_of(later)[:DIGEST_CHARS] == line_of(ANSWER)[:DIGEST_CHARS]
    assert line_of(other)[:DIGEST_CHARS] != line_of(ANSWER)[:DIGEST_CHARS]


def test_half_a_character_cannot_be_written() -> None:
    assert write_line(StoredAnswer(texts=("\ud800",), stored_at_s=1, generation_s=1)) is None


@given(st.lists(st.lists(st.text(), min_size=1), min_size=1))
def test_whatever_is_written_is_read(texts: list[list[str]]) -> None:
    answers = tuple(StoredAnswer(texts=tuple(one), stored_at_s=1764207512.5, generation_s=0.25) for one in texts)

    assert read_value(value(*map(line_of, answers))) == ReadAnswers(answers=answers)


@given(st.binary(), st.booleans())
def test_no_bytes_are_an_error(content: bytes, has_head: bool) -> None:
    read_value(HEAD + content + b"\n" if has_head else content)


def test_an_empty_value_is_nothing() -> None:
    assert read_value(b"") == ReadAnswers()


FOREIGN = {
    "no head": b"hello\n",
    "another version": b"scout-answers/2\n" + LINE + b"\n",
    "cut off": value(LINE)[:-1],
    "too long": value(b"x" * MAX_VALUE_BYTES),
    "an empty line": value(b""),
    "no JSON": with_fields(b"garbage"),
    "not UTF-8": with_fields(b'{"at":1,"took":1,"texts":["\xff"]}'),
    "half a character": with_fields(b'{"at":1,"took":1,"texts":["\\ud800"]}'),
    "deep": with_fields(b"[" * 100_000),
    "a list": with_fields(b"[1,2]"),
    "no texts": with_fields(b'{"at":1,"took":1,"texts":[]}'),
    "one text": with_fields(b'{"at":1,"took":1,"texts":"text"}'),
    "a number as a text": with_fields(b'{"at":1,"took":1,"texts":["a",1]}'),
    "no time": with_fields(b'{"took":1,"texts":["a"]}'),
    "text as a time": with_fields(b'{"at":"1","took":1,"texts":["a"]}'),
    "true as a time": with_fields(b'{"at":true,"took":1,"texts":["a"]}'),
    "NaN": with_fields(b'{"at":NaN,"took":1,"texts":["a"]}'),
    "beyond float": with_fields(b'{"at":1e999,"took":1,"texts":["a"]}'),
    "an integer beyond float": with_fields(b'{"at":1' + b"0" * 400 + b',"took":1,"texts":["a"]}'),
    "an integer beyond reading": with_fields(b'{"at":1' + b"0" * 5000 + b',"took":1,"texts":["a"]}'),
    "a negative time": with_fields(b'{"at":-1,"took":1,"texts":["a"]}'),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_what_is_not_ours_is_counted_and_left_out(what: str) -> None:
    assert read_value(FOREIGN[what]) == ReadAnswers(foreign=1)


def test_one_bad_line_spoils_no_other() -> None:
    line = line_of(ANSWER)

    assert read_value(value(b"garbage", line, b"", line)) == ReadAnswers(answers=(ANSWER, ANSWER), foreign=2)
