"""TGI's rules for a request, in TGI's order and words (router/src/validation.rs), and what this engine cannot honour.

Pure: the caller tokenizes between `check_parameters` and `check_length`.
"""

import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

from scout_engine.config import Limits
from scout_engine.errors import ValidationError
from scout_engine.generate_request import GenerateParameters, GenerateRequest, Grammar
from scout_engine.grammar import constraint

# TGI holds only this much of max_new_tokens against the context (DEFAULT_GENERATION_LENGTH); what is more runs until
# the context is full.
_CHECKED_NEW_TOKENS = 1024
_PENALTY_BOUND = 2.0
# llama.cpp splits a text with std::regex, which takes a piece of its thread's stack for each character of a match: with
# the usual 8 MiB, 20,000 letters in a row are well and 25,000 end the process. What a match is differs by model.
_LONGEST_RUN = 8_000
_BLANKS = "\t\n\v\f\r\x85"
# What this Python does not know yet is more likely a letter than anything else.
_PARTS_OF_WORDS = ("L", "M", "Cn")


@dataclass(frozen=True, kw_only=True)
class ValidRequest:
    """A request that llama.cpp can run.

    Attributes:
        sampling: False is greedy decoding.
        seed: The client's, any unsigned 64-bit integer; None asks for a random one.
        max_new_tokens: At least 1, and never more than the context holds.
        schema: The JSON Schema that the answer has to match.
    """

    input_ids: Sequence[int]
    sampling: bool
    seed: int | None
    temperature: float
    top_k: int
    top_p: float
    typical_p: float
    repetition_penalty: float
    frequency_penalty: float
    presence_penalty: float
    max_new_tokens: int
    stop: tuple[str, ...]
    top_n_tokens: int
    needs_logprobs: bool
    schema: Mapping[str, object] | None


def check_best_of(best_of: int, limits: Limits) -> None:
    """Raise ValidationError where more sequences are asked for than allowed."""
    if limits.max_best_of == 1:
        raise ValidationError("`best_of` != 1 is not allowed for this endpoint")
    if best_of > limits.max_best_of:
        raise ValidationError(f"`best_of` must be > 0 and <= {limits.max_best_of}. Given: {best_of}")


def check_runs(text: str) -> None:
    """Raise ValidationError for a text that llama.cpp's tokenizer does not survive."""
    piece = _LONGEST_RUN // 2
    # A longer run has one of these pieces whole; most pieces are done with after their first word.
    for begin in range(0, len(text) - piece + 1, piece):
        kind = _kind(text[begin])
        length = _count(kind, text[begin : begin + _LONGEST_RUN + 1])
        if length >= piece:
            length += _count(kind, reversed(text[max(0, begin - _LONGEST_RUN) : begin]))
        if length > _LONGEST_RUN:
            raise ValidationError(f"`inputs` must have <= {_LONGEST_RUN} {kind} in a row for this engine's tokenizer")


def _count(kind: str, characters: Iterable[str]) -> int:
    return sum(1 for _ in takewhile(lambda character: _kind(character) == kind, characters))


def _kind(character: str) -> str:
    category = unicodedata.category(character)
    if character in _BLANKS or category.startswith("Z"):
        return "blanks"
    if category.startswith(_PARTS_OF_WORDS):
        return "letters"
    return "digits" if category.startswith("N") else "signs"


def check_stream(parameters: GenerateParameters) -> None:
    """Raise ValidationError for what TGI does not stream."""
    if parameters.best_of not in (None, 1):
        raise ValidationError("`best_of` != 1 is not supported when streaming tokens")
    if parameters.decoder_input_details:
        raise ValidationError("`decoder_input_details` == true is not supported when streaming tokens")


def check_parameters(request: GenerateRequest, limits: Limits) -> None:
    """Raise ValidationError where a rule that needs no tokens is broken."""
    parameters = request.parameters
    _check_sampling(parameters)
    if parameters.max_new_tokens == 0:
        raise ValidationError("`max_new_tokens` must be strictly positive")
    if len(parameters.stop) > limits.max_stop_sequences:
        raise ValidationError(
            f"`stop` supports up to {limits.max_stop_sequences} stop sequences. Given: {len(parameters.stop)}"
        )
    if parameters.seed is not None and (parameters.best_of or 1) > 1:
        raise ValidationError("`seed` must not be set when `best_of` > 1")
    if (parameters.top_n_tokens or 0) > limits.max_top_n_tokens:
        raise ValidationError(
            f"`top_n_tokens` must be >= 0 and <= {limits.max_top_n_tokens}. Given: {parameters.top_n_tokens}"
        )
    if not request.inputs:
        raise ValidationError("`inputs` cannot be empty")
    if parameters.truncate is not None and not 0 < parameters.truncate <= limits.max_input_tokens:
        raise ValidationError(
            f"`truncate` must be strictly positive and less than {limits.max_input_tokens}. "
            f"Given: {parameters.truncate}"
        )
    _check_supported(parameters)


def _check_sampling(parameters: GenerateParameters) -> None:
    if (parameters.best_of or 1) > 1 and not _asks_for_sampling(parameters):
        raise ValidationError("you must use sampling when `best_of` is > 1")
    if parameters.temperature is not None and parameters.temperature <= 0:
        raise ValidationError("`temperature` must be strictly positive")
    if parameters.repetition_penalty is not None and parameters.repetition_penalty <= 0:
        raise ValidationError("`repetition_penalty` must be strictly positive")
    if abs(parameters.frequency_penalty or 0.0) > _PENALTY_BOUND:
        raise ValidationError("`frequency_penalty` must be >= -2.0 and <= 2.0")
    if abs(parameters.presence_penalty or 0.0) > _PENALTY_BOUND:
        raise ValidationError("`presence_penalty` must be >= -2.0 and <= 2.0")
    if parameters.top_p is not None and not 0 < parameters.top_p < 1:
        raise ValidationError("`top_p` must be > 0.0 and < 1.0")
    if parameters.typical_p is not None and not 0 < parameters.typical_p < 1:
        raise ValidationError("`typical_p` must be > 0.0 and < 1.0")
    if parameters.top_k is not None and parameters.top_k <= 0:
        raise ValidationError("`top_k` must be strictly positive")


def _asks_for_sampling(parameters: GenerateParameters) -> bool:
    given = (parameters.temperature, parameters.top_k, parameters.top_p, parameters.typical_p)
    return parameters.do_sample or any(value is not None for value in given)


def _check_supported(parameters: GenerateParameters) -> None:
    if parameters.watermark:
        raise ValidationError("`watermark` is not supported by this engine; leave it out")
    if parameters.adapter_id is not None:
        raise ValidationError(
            f"`adapter_id` {json.dumps(parameters.adapter_id)} is not known: "
            "this engine serves one model without adapters"
        )
    if parameters.decoder_input_details:
        raise ValidationError(
            "`decoder_input_details` is not supported by this engine: it has no logprobs of the prompt"
        )
    if parameters.grammar is not None and parameters.grammar.kind == "regex":
        raise ValidationError("`grammar` of type `regex` is not supported by this engine; `json` and `json_schema` are")


def check_length(request: GenerateRequest, tokens: Sequence[int], limits: Limits) -> ValidRequest:
    """Return the request that llama.cpp will run, `tokens` being those of its prompt.

    Raises:
        ValidationError: The prompt leaves no room, or the grammar is not one.
    """
    parameters = request.parameters
    length = len(tokens) if parameters.truncate is None else min(len(tokens), parameters.truncate)
    room = limits.max_total_tokens - length
    wanted = max(room, 0) if parameters.max_new_tokens is None else parameters.max_new_tokens
    checked = min(wanted, _CHECKED_NEW_TOKENS)
    if length + checked > limits.max_total_tokens:
        raise ValidationError(
            f"`inputs` tokens + `max_new_tokens` must be <= {limits.max_total_tokens}. "
            f"Given: {length} `inputs` tokens and {checked} `max_new_tokens`"
        )
    if length > limits.max_input_tokens:
        raise ValidationError(f"`inputs` must have less than {limits.max_input_tokens} tokens. Given: {length}")
    return ValidRequest(
        input_ids=tokens[len(tokens) - length :],
        sampling=_samples(parameters),
        seed=parameters.seed,
        temperature=1.0 if parameters.temperature is None else parameters.temperature,
        top_k=parameters.top_k or 0,
        top_p=1.0 if parameters.top_p is None else parameters.top_p,
        typical_p=1.0 if parameters.typical_p is None else parameters.typical_p,
        repetition_penalty=1.0 if parameters.repetition_penalty is None else parameters.repetition_penalty,
        frequency_penalty=parameters.frequency_penalty or 0.0,
        presence_penalty=parameters.presence_penalty or 0.0,
        max_new_tokens=min(wanted, room),
        stop=parameters.stop,
        top_n_tokens=parameters.top_n_tokens or 0,
        needs_logprobs=request.needs_logprobs,
        schema=None if parameters.grammar is None else _schema(parameters.grammar),
    )


def _samples(parameters: GenerateParameters) -> bool:
    """A temperature of exactly 1 with nothing else is greedy (server/text_generation_server/utils/tokens.py)."""
    warps = parameters.top_k is not None or parameters.top_p is not None or parameters.typical_p is not None
    return parameters.do_sample or warps or parameters.temperature not in (None, 1.0)


def _schema(grammar: Grammar) -> Mapping[str, object]:
    value = grammar.value
    if grammar.kind == "json_schema" and isinstance(value, dict):
        value = value.get("schema")
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise ValidationError(f"grammar is not valid: {error}") from None
    if not isinstance(value, dict):
        raise ValidationError("grammar is not supported")
    if "properties" not in value:
        raise ValidationError("grammar is not valid: Grammar must have a 'properties' field")
    return constraint(value)
