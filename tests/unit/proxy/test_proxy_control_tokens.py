import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scout_proxy.prompt.control_tokens import ControlTokens

JOINER = "\u2060"


def test_a_token_is_broken_up_after_its_first_character() -> None:
    assert ControlTokens(["<|eot|>"]).break_up("a<|eot|>b") == f"a<{JOINER}|eot|>b"


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        (["<|a|>", "|><|"], "<|a|><|a|>"),
        (["aa"], "aaaaaaa"),
        (["ab", "abc", "bc"], "abcabc"),
        (["<s>", "<s><s>"], "<s><s><s>"),
    ],
)
def test_overlapping_tokens_are_all_broken_up(tokens: list[str], text: str) -> None:
    broken = ControlTokens(tokens).break_up(text)

    assert not [token for token in tokens if token in broken]
    assert broken.replace(JOINER, "") == text


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.text("<|ab>", min_size=2, max_size=4), max_size=6), st.text("<|ab>", max_size=30))
def test_no_token_is_left_and_the_visible_text_is_kept(tokens: list[str], text: str) -> None:
    broken = ControlTokens(tokens).break_up(text)

    assert not [token for token in tokens if token in broken]
    assert broken.replace(JOINER, "") == text


def test_the_longest_token_at_the_start_is_found() -> None:
    tokens = ControlTokens(["<|a", "<|a|>", "<|b|>"])

    assert tokens.at_start("<|a|>x") == "<|a|>"
    assert tokens.at_start("x<|a|>") == ""


def test_no_tokens_change_nothing() -> None:
    assert ControlTokens([]).break_up("<|eot|>") == "<|eot|>"
    assert ControlTokens([""]).at_start("x") == ""
