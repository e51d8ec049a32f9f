"""Puts the prompt of a documented request into the served model's chat format. Pure, but for the template's clock."""

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from scout_proxy.errors import GenerationFailedError, InvalidRequestError
from scout_proxy.prompt.chatml import Conversation, Message, parse_chatml
from scout_proxy.prompt.control_tokens import ControlTokens
from scout_proxy.route_table import PromptFormat, Template

_PROBE = "probe"
# TGI takes `![](...)` in the prompt of a model that sees for an image, and fetches it from inside its network
# (router/src/validation.rs, `prepare_input`): inside a message it is none.
_IMAGE = "![]("
# Whatever a template's own expressions can raise while it is compiled or rendered; the sandbox adds none.
_RENDER_ERRORS = (
    jinja2.TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


class TemplateError(Exception):
    """A chat template that cannot be used; the message says why."""


class _RefusedByTemplateError(jinja2.TemplateError):
    """The template called `raise_exception`."""


def control_tokens_of(template: Template) -> ControlTokens:
    """Return the texts that the served model or its engine reads as more than text."""
    return ControlTokens([*template.special_tokens, template.bos_token, template.eos_token, _IMAGE])


class PromptFormatter:
    """One served model's prompt format, compiled once.

    Raises:
        TemplateError: The chat template has an error, or cannot render one plain user message.
    """

    def __init__(self, template: Template, *, now: Callable[[], datetime] = datetime.now) -> None:
        self._bos = template.bos_token
        self._control = control_tokens_of(template)
        self._chat: _ChatTemplate | None = None
        self._openings: tuple[str, ...] = ()
        if template.prompt_format is PromptFormat.AUTO and template.chat_template is not None:
            self._chat = _ChatTemplate(template.chat_template, template, now)
            self._openings = self._find_openings(self._chat)

    def format(self, prompt: str) -> str:
        """Return the text for the engine, which adds the begin-of-text token itself.

        Raises:
            InvalidRequestError: The template refuses the messages, or nothing is left to send.
            GenerationFailedError: The template fails on them.
        """
        text = prompt if self._chat is None or prompt.startswith(self._openings) else self._render(self._chat, prompt)
        text = self._without_bos(text)
        if not text:
            raise InvalidRequestError.of(
                "value_error", "The prompt holds nothing but the begin-of-text token", field="prompt"
            )
        return text

    def _render(self, chat: "_ChatTemplate", prompt: str) -> str:
        conversation = parse_chatml(prompt) or Conversation(messages=(Message(role="user", content=prompt),))
        messages = [
            {"role": message.role, "content": self._control.break_up(message.content)}
            for message in conversation.messages
        ]
        try:
            return chat.render(messages) + self._control.break_up(conversation.answer_start)
        except _RefusedByTemplateError as exc:
            message = f"The model's chat template refuses these messages: {exc.message}"
            raise InvalidRequestError.of("value_error", message, field="prompt") from exc
        except _RENDER_ERRORS as exc:
            raise GenerationFailedError(f"the model's chat template failed on this prompt: {exc}") from exc

    def _without_bos(self, text: str) -> str:
        return text.removeprefix(self._bos) if self._bos else text

    def _find_openings(self, chat: "_ChatTemplate") -> tuple[str, ...]:
        """Find what the template's own prompts start with: with the begin-of-text token, and without it."""
        try:
            rendered = chat.render([{"role": "user", "content": _PROBE}])
        except _RENDER_ERRORS as exc:
            raise TemplateError(f"the chat template cannot render one user message: {exc}") from exc
        bodies = {rendered, self._without_bos(rendered)}
        return tuple(sorted(filter(None, (self._control.at_start(body) for body in bodies))))


class _ChatTemplate:
    """A template in the environment that transformers gives it (its `chat_template_utils`)."""

    def __init__(self, source: str, template: Template, now: Callable[[], datetime]) -> None:
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.filters["tojson"] = _tojson
        environment.globals["raise_exception"] = _refuse
        environment.globals["strftime_now"] = lambda form: now().strftime(form)
        try:
            self._template = environment.from_string(source)
        except (*_RENDER_ERRORS, SyntaxError) as exc:
            line = f" (line {exc.lineno})" if isinstance(exc, jinja2.TemplateSyntaxError) else ""
            raise TemplateError(f"the chat template cannot be compiled: {exc}{line}") from exc
        self._environment = environment
        self._always = {
            **environment.globals,
            "tools": None,
            "documents": None,
            "add_generation_prompt": True,
            "bos_token": template.bos_token,
            "eos_token": template.eos_token,
        }

    def render(self, messages: Sequence[dict[str, str]]) -> str:
        # What `Template.render` does, without merging the globals anew each time, which takes longer than the rest.
        environment, template = self._environment, self._template
        variables = {**self._always, "messages": messages}
        context = environment.context_class(environment, variables, template.name, template.blocks)
        return "".join(self._template.root_render_func(context))


def _refuse(message: str) -> None:
    raise _RefusedByTemplateError(message)


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
