"""From llama.cpp's events to TGI's tokens."""

import pytest

from scout_engine.llama_client import CompletionEvent
from scout_engine.stopping import StopMatcher
from scout_engine.tokens import Token, TokenReader
from scout_engine.vocabulary import Vocabulary

PIECES = [b"a", b"b", b"\xe5", b"\xa5", b"\xbd", b"\xe5\xa5", b"<|eot|>", b" c", b"\xf0\x9f", b"\x98", b"\x80"]
EOT, CHARACTER_END = 6, 4


@pytest.fixture
def small() -> Vocabulary:
    ids = {piece: token for token, piece in enumerate(PIECES) if token != EOT}
    return Vocabulary(pieces=PIECES, special=frozenset([EOT]), ids=ids, bos=None, eos=EOT, filler=EOT)


def event(token: int, text: str, predicted: int, logprob: float = -1.0) -> CompletionEvent:
    top = [{"id": token, "logprob": logprob}]
    return {
        "content": text,
        "tokens": [token],
        "tokens_predicted": predicted,
        "completion_probabilities": [{"id": token, "logprob": logprob, "top_logprobs": top}],  # type: ignore[typeddict-item]  # shortened
        "stop": False,
    }


def end(predicted: int, stop_type: str = "limit") -> CompletionEvent:
    return {"content": "", "tokens": [], "tokens_predicted": predicted, "stop": True, "stop_type": stop_type}


def test_the_last_token_is_known_by_its_number(small: Vocabulary) -> None:
    reader = TokenReader(small, (), limit=2, top_n=0)

    assert reader.read(event(0, "a", 1)) == [Token(0, "a", -1.0, special=False)]
    reader.read(event(1, "b", 2))
    assert (reader.finish_reason, reader.text, reader.count) == ("length", "ab", 2)


def test_the_end_of_text_token_is_shown_but_is_no_text(small: Vocabulary) -> None:
    reader = TokenReader(small, (), limit=9, top_n=0)
    reader.read(event(0, "a", 1))

    assert reader.read(event(EOT, "", 2)) == []
    assert reader.read(end(2, "eos")) == [Token(EOT, "<|eot|>", -1.0, special=True)]
    assert (reader.finish_reason, reader.text, reader.count) == ("eos_token", "a", 2)


def test_a_special_token_inside_the_text_comes_before_what_follows(small: Vocabulary) -> None:
    reader = TokenReader(small, (), limit=9, top_n=0)
    reader.read(event(EOT, "", 1))

    assert [token.id for token in reader.read(event(0, "a", 2))] == [EOT, 0]
    assert reader.text == "a"


def test_a_special_token_at_the_limit_ends_by_length(small: Vocabulary) -> None:
    reader = TokenReader(small, (), limit=1, top_n=0)

    assert [token.id for token in reader.read(event(EOT, "", 1))] == [EOT]
    assert reader.finish_reason == "length"


def test_tokens_inside_a_character_get_their_ids_back(small: Vocabulary) -> None:
    reader = TokenReader(small, (), limit=9, top_n=0)

    tokens = reader.read(event(CHARACTER_END, "好", 2))

    assert tokens == [Token(5, "", None, special=False), Token(CHARACTER_END, "好", -1.0, special=False)]
    assert [token.id for token in reader.read(event(CHARACTER_END, "好", 5))] == [2, 3, CHARACTER_END]
    assert reader.text == "好好"


def test_an_answer_that_ends_inside_a_character_counts_all_its_tokens(small: Vocabulary) -> None:
    reader = TokenReader(small, (), limit=3, top_n=0)
    reader.read(event(0, "a", 1))

    tokens = reader.read(end(3))

    assert tokens == [Token(EOT, "", None, special=True)] * 2
    assert (reader.finish_reason, reader.text, reader.count) == ("length", "a", 3)


def test_a_stop_string_ends_the_text_and_stays_in_it(small: Vocabulary) -> None:
    reader = TokenReader(small, ("b c",), limit=9, top_n=0)
    for token in (event(0, "a", 1), event(1, "b", 2), event(7, " c", 3)):
        reader.read(token)

    assert (reader.finish_reason, reader.text) == ("stop_sequence", "ab c")


def test_alternatives_are_listed_when_asked_for(small: Vocabulary) -> None:
    reader = TokenReader(small, (), limit=9, top_n=1)

    assert reader.read(event(0, "a", 1))[0].top == (Token(0, "a", -1.0, special=False),)


@pytest.mark.parametrize(
    ("stops", "texts", "stopped"),
    [
        (["Pari"], ["Paris"], False),
        (["Pari"], ["Par", "i"], True),
        (["end"], ["the end\n"], True),
        (["end"], ["the end "], False),
        (["x", "b"], ["a", "b"], True),
        ([], ["a"], False),
        ([""], ["a"], True),
    ],
)
def test_stop_strings_match_where_a_token_ends(stops: list[str], texts: list[str], *, stopped: bool) -> None:
    matcher = StopMatcher(stops)

    assert any(matcher.ends_with_stop(text) for text in texts) is stopped


def test_a_text_that_its_last_token_does_not_end_cannot_be_split(small: Vocabulary) -> None:
    assert small.split("好a".encode(), CHARACTER_END, 3) is None
    assert small.split("😀".encode(), 10, 3) == [8, 9, 10]
    assert small.split("😀".encode(), 10, 2) is None
