"""TGI's rules, in TGI's words."""

from dataclasses import replace

import pytest

from scout_engine.config import Limits
from scout_engine.errors import ValidationError
from scout_engine.generate_request import GenerateParameters, GenerateRequest, Grammar
from scout_engine.validation import (
    ValidRequest,
    check_best_of,
    check_length,
    check_parameters,
    check_runs,
    check_stream,
)

LIMITS = Limits(max_input_tokens=50, max_total_tokens=100)


def request(**parameters: object) -> GenerateRequest:
    return GenerateRequest(inputs="Hello", parameters=replace(GenerateParameters(), **parameters))  # type: ignore[arg-type]  # any field


def valid(tokens: int, **parameters: object) -> ValidRequest:
    return check_length(request(**parameters), list(range(tokens)), LIMITS)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"temperature": 0.0}, "`temperature` must be strictly positive"),
        ({"temperature": -1.0}, "`temperature` must be strictly positive"),
        ({"repetition_penalty": 0.0}, "`repetition_penalty` must be strictly positive"),
        ({"frequency_penalty": 2.5}, "`frequency_penalty` must be >= -2.0 and <= 2.0"),
        ({"frequency_penalty": -2.5}, "`frequency_penalty` must be >= -2.0 and <= 2.0"),
        ({"presence_penalty": 3.0}, "`presence_penalty` must be >= -2.0 and <= 2.0"),
        ({"top_p": 0.0}, "`top_p` must be > 0.0 and < 1.0"),
        ({"top_p": 1.0}, "`top_p` must be > 0.0 and < 1.0"),
        ({"typical_p": 1.0}, "`typical_p` must be > 0.0 and < 1.0"),
        ({"top_k": 0}, "`top_k` must be strictly positive"),
        ({"top_k": -1}, "`top_k` must be strictly positive"),
        ({"max_new_tokens": 0}, "`max_new_tokens` must be strictly positive"),
        ({"stop": tuple("abcde")}, "`stop` supports up to 4 stop sequences. Given: 5"),
        ({"best_of": 2}, "you must use sampling when `best_of` is > 1"),
        ({"best_of": 2, "do_sample": True, "seed": 1}, "`seed` must not be set when `best_of` > 1"),
        ({"top_n_tokens": 6}, "`top_n_tokens` must be >= 0 and <= 5. Given: 6"),
        ({"truncate": 0}, "`truncate` must be strictly positive and less than 50. Given: 0"),
        ({"truncate": 51}, "`truncate` must be strictly positive and less than 50. Given: 51"),
        ({"watermark": True}, "`watermark` is not supported by this engine; leave it out"),
        (
            {"adapter_id": "a"},
            '`adapter_id` "a" is not known: this engine serves one model without adapters',
        ),
        (
            {"decoder_input_details": True},
            "`decoder_input_details` is not supported by this engine: it has no logprobs of the prompt",
        ),
        (
            {"grammar": Grammar(kind="regex", value="a+")},
            "`grammar` of type `regex` is not supported by this engine; `json` and `json_schema` are",
        ),
    ],
)
def test_a_broken_rule_is_named(parameters: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError) as failure:
        check_parameters(request(**parameters), LIMITS)

    assert str(failure.value) == f"Input validation error: {message}"


def test_an_empty_text_is_refused() -> None:
    with pytest.raises(ValidationError, match="`inputs` cannot be empty"):
        check_parameters(replace(request(), inputs=""), LIMITS)


@pytest.mark.parametrize(
    "parameters",
    [
        {"temperature": 1e-10},
        {"frequency_penalty": -2.0},
        {"top_p": 0.999},
        {"top_k": 1},
        {"stop": tuple("abcd")},
        {"top_n_tokens": 5},
        {"truncate": 50},
        {"best_of": 2, "temperature": 0.5},
        {"best_of": 0},
    ],
)
def test_a_rule_ends_where_it_says(parameters: dict[str, object]) -> None:
    check_parameters(request(**parameters), LIMITS)


def test_best_of_has_a_limit_and_an_off_switch() -> None:
    check_best_of(2, LIMITS)
    with pytest.raises(ValidationError, match=r"`best_of` must be > 0 and <= 2. Given: 3"):
        check_best_of(3, LIMITS)
    with pytest.raises(ValidationError, match="`best_of` != 1 is not allowed for this endpoint"):
        check_best_of(2, replace(LIMITS, max_best_of=1))


@pytest.mark.parametrize("parameters", [{"best_of": 2}, {"best_of": 0}, {"decoder_input_details": True}])
def test_a_stream_refuses_what_only_a_whole_answer_can_hold(parameters: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="not supported when streaming tokens"):
        check_stream(request(**parameters).parameters)


def test_a_prompt_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"`inputs` must have less than 50 tokens. Given: 51"):
        valid(51, max_new_tokens=1)


def test_prompt_and_answer_have_to_fit_together() -> None:
    with pytest.raises(ValidationError) as failure:
        valid(40, max_new_tokens=61)

    assert str(failure.value) == (
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 100. "
        "Given: 40 `inputs` tokens and 61 `max_new_tokens`"
    )


def test_only_the_first_1024_new_tokens_are_held_against_the_context() -> None:
    limits = Limits(max_input_tokens=2000, max_total_tokens=2048)

    checked = check_length(request(max_new_tokens=100_000), list(range(1000)), limits)

    assert checked.max_new_tokens == 1048


def test_without_max_new_tokens_the_rest_of_the_context_is_used() -> None:
    assert valid(30).max_new_tokens == 70


def test_truncate_keeps_the_end_of_the_prompt() -> None:
    assert list(valid(60, truncate=3, max_new_tokens=1).input_ids) == [57, 58, 59]


@pytest.mark.parametrize(
    ("parameters", "sampling"),
    [
        ({}, False),
        ({"temperature": 1.0}, False),
        ({"temperature": 0.7}, True),
        ({"do_sample": True}, True),
        ({"do_sample": True, "temperature": 1.0}, True),
        ({"top_k": 5}, True),
        ({"top_p": 0.9}, True),
        ({"typical_p": 0.9}, True),
    ],
)
def test_what_samples_and_what_is_greedy(parameters: dict[str, object], *, sampling: bool) -> None:
    assert valid(5, **parameters).sampling is sampling


@pytest.mark.parametrize(
    ("grammar", "message"),
    [
        (Grammar(kind="json", value={"type": "object"}), "Grammar must have a 'properties' field"),
        (Grammar(kind="json", value="{"), "grammar is not valid: Expecting property name"),
        (Grammar(kind="json", value=[1]), "grammar is not supported"),
        (Grammar(kind="json_schema", value={"name": "x"}), "grammar is not supported"),
    ],
)
def test_a_grammar_that_is_none_is_refused(grammar: Grammar, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        valid(5, grammar=grammar)


@pytest.mark.parametrize(
    "grammar",
    [
        Grammar(kind="json", value={"properties": {"a": {"type": "integer"}}}),
        Grammar(kind="json", value='{"properties": {"a": {"type": "integer"}}}'),
        Grammar(kind="json_schema", value={"schema": {"properties": {"a": {"type": "integer"}}}}),
    ],
)
def test_a_schema_comes_in_three_forms(grammar: Grammar) -> None:
    assert valid(5, grammar=grammar).schema == {
        "type": "object",
        "properties": {"a": {"type": "integer"}},
        "additionalProperties": False,
        "x-guidance": {"whitespace_flexible": False},
    }


@pytest.mark.parametrize(
    ("part", "kind"),
    [
        ("a", "letters"),
        ("海", "letters"),
        ("กำ", "letters"),
        (" \n\t\u3000", "blanks"),
        ("7", "digits"),
        ("!😀", "signs"),
    ],
)
def test_what_a_tokenizer_would_not_survive_is_refused(part: str, kind: str) -> None:
    longest, end = (part * 8_000)[:8_000], "a" if kind == "signs" else "!"
    check_runs(longest)
    check_runs((longest + end) * 10)

    for before in (0, 1, 3_999, 4_000, 7_999):
        with pytest.raises(ValidationError, match=f"must have <= 8000 {kind} in a row"):
            check_runs(end * before + (part * 8_001)[:8_001] + end)
