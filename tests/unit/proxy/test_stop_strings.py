from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scout_proxy.generate.stop_strings import StopScanner, cut_at_stop

_TEXTS = st.text("abc", max_size=30)
_STOPS = st.lists(st.text("abc", min_size=1, max_size=4), max_size=3)


def scanned(pieces: list[str], *stops: str) -> list[str]:
    scanner = StopScanner(stops)
    return [*[scanner.feed(piece) for piece in pieces], scanner.finish()]


@pytest.mark.parametrize(
    ("text", "stops", "left"),
    [
        ("one two", [], "one two"),
        ("one two", ["four"], "one two"),
        ("one two three", [" two"], "one"),
        ("one two three", [" three", " two"], "one"),
        ("STOP", ["STOP"], ""),
        ("喝茶。再见", ["。"], "喝茶"),
    ],
)
def test_a_text_ends_before_its_first_stop_string(text: str, stops: list[str], left: str) -> None:
    assert cut_at_stop(text, stops) == left


def test_the_stop_string_that_is_complete_first_counts() -> None:
    # An engine stops at "bc": it never writes what would have made the longer one.
    assert cut_at_stop("abcd", ["abcd", "bc"]) == "a"


def test_a_stop_string_is_found_across_pieces() -> None:
    assert scanned(["one S", "T", "OP two"], "STOP") == ["one ", "", "", ""]


def test_what_could_begin_a_stop_string_is_held_back_no_longer_than_it_could() -> None:
    assert scanned(["a S", "TAR", "T"], "STOP") == ["a ", "STAR", "T", ""]


def test_what_was_held_back_is_told_at_the_end() -> None:
    assert scanned(["one ST"], "STOP") == ["one ", "ST"]


def test_nothing_follows_a_stop_string() -> None:
    scanner = StopScanner(("STOP",))

    assert [scanner.feed(piece) for piece in ["oneSTOP", "two", "three"]] == ["one", "", ""]
    assert (scanner.finish(), scanner.has_stopped) == ("", True)


@given(text=_TEXTS, stops=_STOPS, cuts=st.lists(st.integers(0, 30), max_size=6))
@settings(derandomize=True, max_examples=150, deadline=None)
def test_a_text_in_pieces_is_cut_where_the_whole_text_is(text: str, stops: list[str], cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(text)]
    pieces = [text[begin:end] for begin, end in pairwise(places)]
    told = scanned(pieces, *stops)

    assert "".join(told) == cut_at_stop(text, stops)
    for count in range(len(pieces)):
        assert cut_at_stop("".join(pieces[: count + 1]), stops).startswith("".join(told[: count + 1]))
