"""Reading a profile's text: its types, its positions, and everything that YAML can do and a profile may not."""

import contextlib
import math
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scout_deploy.errors import ProfileError
from scout_deploy.profile.document import MAX_BYTES, Document, parse_document, plain_scalar, read_document
from scout_deploy.profile.problem import Place
from scout_deploy.profile.tree import find, plain


def _parse(text: str) -> Document:
    return parse_document(text, Place(source="a.yaml", line=1, directory=Path("/")))


def _problems(text: str) -> list[str]:
    return [str(problem) for problem in _parse(text).problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("False", False),
        ("2025", 2025),
        ("-1", -1),
        ("010", 10),
        ("0o17", 15),
        ("0xff", 255),
        ("0.5", 0.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("1e3", 1000.0),
        (".inf", math.inf),
        ("yes", "yes"),
        ("on", "on"),
        ("12:30", "12:30"),
        ("1_000", "1_000"),
        ("2024-01-01", "2024-01-01"),
        ("3.3.7", "3.3.7"),
        ("1" * 5000, "1" * 5000),
    ],
)
def test_plain_values_have_the_types_of_yaml_1_2(text: str, value: object) -> None:
    actual = plain_scalar(text)

    assert (type(actual), actual) == (type(value), value)


def test_quoted_values_are_text() -> None:
    assert plain(_parse("a: \"1\"\nb: 'true'\nc: |\n  2\n").root) == {"a": "1", "b": "true", "c": "2\n"}


def test_places_are_the_lines_of_the_keys() -> None:
    root = _parse("# comment\na:\n  b: 1\n\n  c:\n    - 1\n    - 2\n").root

    places = {
        key: str(node.place) for key in ("a", "a.b", "a.c", "a.c.1") if (node := find(root, tuple(key.split("."))))
    }

    assert places == {"a": "a.yaml:2", "a.b": "a.yaml:3", "a.c": "a.yaml:5", "a.c.1": "a.yaml:7"}


def test_keys_that_begin_with_x_are_ignored_at_every_level() -> None:
    assert plain(_parse("x-a: {b: [1]}\nc:\n  x-d: 1\n  e: 2\n").root) == {"c": {"e": 2}}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb: 2\na: 3\n", "a.yaml:3: a: got the key a second time, expected it once; the first is at a.yaml:1"),
        ("a:\n  b: !!int '3'\n", "a.yaml:2: a/b: got the tag !!int, expected a value without a tag"),
        (
            "a: !!python/object/apply:os.system [id]\n",
            "a.yaml:1: a: got the tag !!python/object/apply:os.system, expected a value without a tag",
        ),
        (
            "a: &one 1\nb: *one\n",
            "a.yaml:2: b: got the alias *one, expected the value itself; profiles share by `extends`",
        ),
        ("1: a\n", "a.yaml:1: (root): got 1 as a key, expected a key that is text"),
        ("? [a, b]\n: c\n", "a.yaml:1: (root): got a list as a key, expected a key that is text"),
    ],
)
def test_what_yaml_can_do_and_a_profile_may_not_is_a_problem(text: str, problem: str) -> None:
    assert _problems(text) == [problem]


def test_all_problems_of_a_text_are_found() -> None:
    assert len(_problems("a: 1\na: 2\nb: !x 1\nc: *d\ne: &f 1\n")) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: b: c\n", "a.yaml:1:5: is not valid YAML: mapping values are not allowed here"),
        ("a: 1\n\tb: 2\n", "a.yaml:2:1: is not valid YAML: found character '\\t' that cannot start any token"),
        ("a: [1, 2\nb: 3\n", "a.yaml:2:2: is not valid YAML: expected ',' or ']', but got ':'"),
        ("a: 1\n---\nb: 2\n", "a.yaml:2: a second document begins (`---`), expected one profile in a file"),
        ("a: \x00", "a.yaml:1: holds the character U+0000, which YAML does not allow"),
    ],
)
def test_broken_yaml_names_line_and_column(text: str, message: str) -> None:
    with pytest.raises(ProfileError) as caught:
        _parse(text)

    assert caught.value.message == message


def test_broken_yaml_shows_the_line() -> None:
    with pytest.raises(ProfileError) as caught:
        _parse("first: 1\nsecond: a: b\n")

    assert caught.value.evidence == ("second: a: b", "         ^")


@pytest.mark.parametrize("text", ["[" * 50_000, "{a: " * 10_000, "- " * 5_000, "a: " + "[" * 17 + "]" * 17])
def test_deep_nesting_is_refused(text: str) -> None:
    with pytest.raises(ProfileError, match=r"nested deeper than 16 levels|not valid YAML"):
        _parse(text)


def test_a_bomb_of_aliases_does_not_grow() -> None:
    bomb = "a: &a [x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(20)
    )

    assert len(_problems(bomb)) == 40


@given(st.text(max_size=200))
def test_any_text_is_a_document_or_a_profile_error(text: str) -> None:
    with contextlib.suppress(ProfileError):
        _parse(text)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "p.yaml: got nothing but comments or blanks, expected a profile: lines of the form `key: value`"),
        (
            b"# nothing\n",
            "p.yaml: got nothing but comments or blanks, expected a profile: lines of the form `key: value`",
        ),
        (b"- a\n", "p.yaml: got a list, expected a profile: lines of the form `key: value`"),
        (b"hello\n", "p.yaml: got 'hello', expected a profile: lines of the form `key: value`"),
        (b"a: 1\nb: \xff\n", "p.yaml:2: is not UTF-8 text (byte 8)"),
        ("a: 1".encode("utf-16"), "p.yaml:1: is not UTF-8 text (byte 0)"),
        (b"#" * (MAX_BYTES + 1), "p.yaml: is larger than 64 KiB, which no profile is"),
    ],
)
def test_files_that_are_no_profiles(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "p.yaml"
    path.write_bytes(content)

    with pytest.raises(ProfileError) as caught:
        read_document(path, "p.yaml")

    assert caught.value.message == message


def test_a_byte_order_mark_is_no_problem(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")

    assert plain(read_document(path, "p.yaml").root) == {"a": 1}


def test_a_directory_a_pipe_and_nothing_are_named_as_such(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)

    messages = []
    for path in (tmp_path, pipe, tmp_path / "missing.yaml"):
        with pytest.raises(ProfileError) as caught:
            read_document(path, "it")
        messages.append(caught.value.message)

    assert messages == [
        "it: is a directory, expected a profile's file",
        "it: is not a regular file, expected a profile's file",
        "it: there is no such file",
    ]
