"""What a client asks to be generated: the body of TGI's native routes as typed values, not yet checked."""

from dataclasses import dataclass
from typing import Literal

from scout_engine.fields import Fields, refuse

GrammarKind = Literal["json", "regex", "json_schema"]
_GRAMMAR_KINDS: dict[str, GrammarKind] = {
    "json": "json",
    "json_object": "json",
    "regex": "regex",
    "json_schema": "json_schema",
}


@dataclass(frozen=True, kw_only=True)
class Grammar:
    """A constraint on the answer; `value` is a JSON Schema, a string holding one, or a regular expression."""

    kind: GrammarKind
    value: object


@dataclass(frozen=True, kw_only=True)
class GenerateParameters:
    """TGI's `GenerateParameters` (router/src/lib.rs); None is absent.

    `presence_penalty` is OpenAI's, from the /v1 routes. TGI turns it into a repetition penalty of x + 2, so that its
    neutral value 0 penalizes heavily; llama.cpp has the real one.
    """

    best_of: int | None = None
    temperature: float | None = None
    repetition_penalty: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    typical_p: float | None = None
    do_sample: bool = False
    max_new_tokens: int | None = None
    return_full_text: bool | None = None
    stop: tuple[str, ...] = ()
    truncate: int | None = None
    watermark: bool = False
    details: bool = False
    decoder_input_details: bool = False
    seed: int | None = None
    top_n_tokens: int | None = None
    grammar: Grammar | None = None
    adapter_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class GenerateRequest:
    """One text to continue.

    Attributes:
        add_special_tokens: False for a rendered chat template, which carries its own begin-of-text token.
        needs_logprobs: False where the answer cannot show them: llama.cpp is faster without.
    """

    inputs: str
    parameters: GenerateParameters
    add_special_tokens: bool = True
    needs_logprobs: bool = True


def parse_generate_request(value: object) -> GenerateRequest:
    """Read the body of /generate, /generate_stream, /tokenize and POST /.

    An absent `parameters` samples, an empty one does not: TGI's two defaults differ (router/src/lib.rs,
    default_parameters).

    Raises:
        BodyError: A field has the wrong type.
    """
    fields = Fields(value, expected="struct GenerateRequest")
    inputs = fields.text("inputs")
    if not fields.has("parameters"):
        return GenerateRequest(inputs=inputs, parameters=GenerateParameters(do_sample=True))
    parameters = Fields(fields.get("parameters"), "parameters", expected="struct GenerateParameters")
    return GenerateRequest(inputs=inputs, parameters=_parse_parameters(parameters))


def parse_stream_flag(value: object) -> bool:
    """Read `stream` of POST /."""
    return Fields(value, expected="struct CompatGenerateRequest").flag("stream")


def _parse_parameters(fields: Fields) -> GenerateParameters:
    return GenerateParameters(
        best_of=fields.whole("best_of", "usize"),
        temperature=fields.real("temperature"),
        repetition_penalty=fields.real("repetition_penalty"),
        frequency_penalty=fields.real("frequency_penalty"),
        top_k=fields.whole("top_k", "i32"),
        top_p=fields.real("top_p"),
        typical_p=fields.real("typical_p"),
        do_sample=fields.flag("do_sample"),
        max_new_tokens=fields.whole("max_new_tokens", "u32"),
        return_full_text=fields.optional_flag("return_full_text"),
        stop=_parse_stop(fields),
        truncate=fields.whole("truncate", "usize"),
        watermark=fields.flag("watermark"),
        details=fields.flag("details"),
        decoder_input_details=fields.flag("decoder_input_details"),
        seed=fields.whole("seed", "u64"),
        top_n_tokens=fields.whole("top_n_tokens", "u32"),
        grammar=parse_grammar(fields, "grammar"),
        adapter_id=fields.optional_text("adapter_id"),
    )


def _parse_stop(fields: Fields) -> tuple[str, ...]:
    if fields.has("stop") and fields.get("stop") is None:
        refuse(fields.path("stop"), "invalid type: null, expected a sequence")
    return tuple(fields.texts("stop") or ())


def parse_grammar(fields: Fields, name: str) -> Grammar | None:
    """Read `{"type": ..., "value": ...}`; OpenAI's `{"type": "json_schema", "json_schema": {...}}` is read as well.

    Raises:
        BodyError: The type is unknown or its value is missing.
    """
    if fields.get(name) is None:
        return None
    grammar = Fields(fields.get(name), fields.path(name), expected="adjacently tagged enum GrammarType")
    written = grammar.text("type")
    kind = _GRAMMAR_KINDS.get(written)
    if kind is None:
        known = ", ".join(f"`{kind}`" for kind in _GRAMMAR_KINDS)
        refuse(fields.path(name), f"unknown variant `{written}`, expected one of {known}")
    value_name = "json_schema" if kind == "json_schema" and not grammar.has("value") else "value"
    if not grammar.has(value_name):
        refuse(fields.path(name), "missing field `value`")
    return Grammar(kind=kind, value=grammar.get(value_name))
