"""Render a conversation with the model's own chat template, as TGI does (router/src/infer/chat_template.rs).

Templates are written for transformers, so its Jinja settings apply. They come with a model file, so they run in a
sandbox.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Never

from jinja2 import TemplateError as JinjaError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from scout_engine.errors import TemplateError


def _raise_exception(message: str) -> Never:
    raise JinjaError(message)


def _strftime_now(layout: str) -> str:
    return datetime.now().astimezone().strftime(layout)


class ChatTemplate:
    """One model's template.

    Args:
        source: Jinja source, or None for a model without a template.
        bos: The text of the begin-of-text token.
        eos: The text of the end-of-text token.
    """

    def __init__(self, source: str | None, *, bos: str, eos: str) -> None:
        self._source = source
        self._tokens = {"bos_token": bos, "eos_token": eos}
        self._environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        self._environment.globals["raise_exception"] = _raise_exception
        self._environment.globals["strftime_now"] = _strftime_now

    def render(self, messages: Sequence[Mapping[str, str]]) -> str:
        """Return the prompt; where the last message is the assistant's, the prompt ends inside it, to be continued.

        Raises:
            TemplateError: There is no template, or it refuses the messages.
        """
        if self._source is None:
            raise TemplateError("template not found: this model has no chat template; use /v1/completions or /generate")
        try:
            template = self._environment.from_string(self._source)
            prompt = template.render(messages=messages, add_generation_prompt=True, tools=None, **self._tokens)
        except (JinjaError, TypeError, ValueError, LookupError) as error:
            raise TemplateError(str(error)) from error
        return _continue_assistant(prompt, messages)


def _continue_assistant(prompt: str, messages: Sequence[Mapping[str, str]]) -> str:
    if not messages or messages[-1]["role"] != "assistant":
        return prompt
    content = messages[-1]["content"]
    at = prompt.rfind(content)
    return prompt if at < 0 else prompt[: at + len(content)].rstrip()
