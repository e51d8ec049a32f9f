"""The bodies of the /v1 routes as typed values, and what each asks the engine to generate (TGI's router/src/lib.rs)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypedDict

from scout_engine.config import ServedModel
from scout_engine.errors import SuffixError, ToolError, ValidationError
from scout_engine.fields import Fields, as_text, describe, refuse
from scout_engine.generate_request import GenerateParameters, GenerateRequest, parse_grammar

Message = Mapping[str, str]


class _Sampling(TypedDict):
    do_sample: bool
    temperature: float | None
    top_p: float | None
    frequency_penalty: float | None
    seed: int | None
    stop: tuple[str, ...]
    details: bool


# What clients send when they mean whatever is served: TGI's word, and that of huggingface_hub's InferenceClient.
_ANY_MODEL = ("tgi", "dummy")


@dataclass(frozen=True, kw_only=True)
class ChatRequest:
    """One conversation to continue; `parameters` apply to the rendered prompt."""

    messages: tuple[Message, ...]
    parameters: GenerateParameters
    stream: bool
    include_usage: bool
    logprobs: bool

    def to_generate(self, prompt: str) -> GenerateRequest:
        """Return the generation for the rendered `prompt`, which carries its own begin-of-text token."""
        return GenerateRequest(
            inputs=prompt, parameters=self.parameters, add_special_tokens=False, needs_logprobs=self.logprobs
        )


@dataclass(frozen=True, kw_only=True)
class CompletionRequest:
    """One or more texts to continue."""

    requests: tuple[GenerateRequest, ...]
    stream: bool


def parse_chat_request(value: object, model: ServedModel) -> ChatRequest:
    """Read the body of /v1/chat/completions and /chat_tokenize.

    Raises:
        BodyError: A field has the wrong type.
        RequestError: The request asks for what this engine cannot honour.
    """
    fields = Fields(value, expected="struct ChatRequest")
    messages = tuple(_messages(fields))
    _check_model(fields, model)
    _check_chat_support(fields)
    max_tokens = fields.whole("max_tokens", "u32")
    parameters = GenerateParameters(
        **_sampling(fields),
        max_new_tokens=fields.whole("max_completion_tokens", "u32") if max_tokens is None else max_tokens,
        presence_penalty=fields.real("presence_penalty"),
        top_n_tokens=fields.whole("top_logprobs", "u32"),
        grammar=parse_grammar(fields, "response_format"),
    )
    return ChatRequest(
        messages=messages,
        parameters=parameters,
        stream=fields.flag("stream"),
        include_usage=_include_usage(fields),
        logprobs=fields.optional_flag("logprobs") or False,
    )


def parse_completion_request(value: object, model: ServedModel) -> CompletionRequest:
    """Read the body of /v1/completions; errors as `parse_chat_request`."""
    fields = Fields(value, expected="struct CompletionRequest")
    prompts = _prompts(fields)
    _check_model(fields, model)
    if fields.get("suffix") is not None:
        raise SuffixError("Suffix is not supported and can be achieved by preprocessing the prompt.")
    _check_choices(fields)
    parameters = GenerateParameters(
        **_sampling(fields),
        max_new_tokens=fields.whole("max_tokens", "u32"),
        repetition_penalty=fields.real("repetition_penalty"),
        presence_penalty=fields.real("presence_penalty"),
    )
    requests = tuple(GenerateRequest(inputs=prompt, parameters=parameters, needs_logprobs=False) for prompt in prompts)
    return CompletionRequest(requests=requests, stream=fields.flag("stream"))


def _sampling(fields: Fields) -> _Sampling:
    """Temperature 0 is greedy, anything else samples."""
    temperature = fields.real("temperature")
    return {
        "do_sample": temperature != 0,
        "temperature": temperature or None,
        "top_p": fields.real("top_p"),
        "frequency_penalty": fields.real("frequency_penalty"),
        "seed": fields.whole("seed", "u64"),
        "stop": _stop(fields),
        "details": True,
    }


def _stop(fields: Fields) -> tuple[str, ...]:
    """TGI takes a list only; OpenAI's single string is taken as well."""
    one = fields.get("stop")
    if isinstance(one, str):
        return (as_text(one, "stop"),)
    return tuple(fields.texts("stop") or ())


def _prompts(fields: Fields) -> list[str]:
    prompt = fields.get("prompt")
    if prompt is None and not fields.has("prompt"):
        refuse("", "missing field `prompt`")
    if isinstance(prompt, str):
        return [as_text(prompt, "prompt")]
    if prompt == []:
        refuse("prompt", "Empty array detected. Do not use an empty array for the prompt.")
    return fields.texts("prompt") or []


def _check_model(fields: Fields, model: ServedModel) -> None:
    """TGI takes an unknown model for a LoRA adapter; this engine has none."""
    name = fields.optional_text("model")
    if name not in (None, *_ANY_MODEL, model.model_id):
        raise ValidationError(f'`model` "{name}" is not served here; send "tgi" or "{model.model_id}"')


def _check_choices(fields: Fields) -> None:
    if (fields.whole("n", "u32") or 1) != 1:
        raise ValidationError("`n` != 1 is not supported by this engine; send one request for each choice")
    if fields.get("logit_bias"):
        raise ValidationError("`logit_bias` is not supported by this engine; leave it out")


def _check_chat_support(fields: Fields) -> None:
    _check_choices(fields)
    if fields.get("tools") and fields.get("tool_choice") != "none":
        raise ToolError(
            "tools are not supported by this engine; leave `tools` out, or constrain with `response_format`"
        )


def _include_usage(fields: Fields) -> bool:
    options = fields.get("stream_options")
    return False if options is None else Fields(options, "stream_options").flag("include_usage")


def _messages(fields: Fields) -> Iterator[Message]:
    raw = fields.get("messages")
    if raw is None and not fields.has("messages"):
        refuse("", "missing field `messages`")
    if not isinstance(raw, list):
        refuse("messages", f"invalid type: {describe(raw)}, expected a sequence")
    for index, value in enumerate(raw):
        message = Fields(value, f"messages[{index}]", expected="struct Message")
        yield {"role": message.text("role"), "content": _content(message)}


def _content(message: Fields) -> str:
    """The text of one message; its parts are joined, an image is refused."""
    content = message.get("content")
    if isinstance(content, list):
        return "".join(_part(part, f"{message.path('content')}[{index}]") for index, part in enumerate(content))
    if content is None and message.get("tool_calls") is not None:
        raise ToolError("a message with `tool_calls` is not supported by this engine; leave it out")
    return message.text("content")


def _part(value: object, path: str) -> str:
    part = Fields(value, path, expected="internally tagged enum MessageChunk")
    kind = part.text("type")
    if kind == "image_url":
        raise ValidationError("image modality is not supported")
    if kind != "text":
        refuse(path, f"unknown variant `{kind}`, expected `text` or `image_url`")
    return part.text("text")
