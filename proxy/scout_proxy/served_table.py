"""A route table as it is served: with its prompt format compiled."""

from dataclasses import dataclass, replace
from typing import Protocol

from scout_proxy.errors import GenerationFailedError
from scout_proxy.prompt.control_tokens import ControlTokens
from scout_proxy.prompt.template import PromptFormatter, TemplateError, control_tokens_of
from scout_proxy.route_table import RouteTable, Template


@dataclass(frozen=True, kw_only=True)
class ServedTable:
    """One revision. `template_error` says why there is no formatter."""

    table: RouteTable
    control_tokens: ControlTokens
    formatter: PromptFormatter | None
    template_error: str | None = None

    def format_prompt(self, prompt: str) -> str:
        """Return the text for the engine.

        Raises:
            GenerationFailedError: The route table's template cannot be used.
            InvalidRequestError: The template refuses this prompt.
        """
        if self.formatter is None:
            raise GenerationFailedError(f"the route table's template cannot be used: {self.template_error}")
        return self.formatter.format(prompt)


class TableSource(Protocol):
    """Knows the table of the moment."""

    @property
    def served(self) -> ServedTable:
        """It."""
        ...


def serve_table(table: RouteTable, previous: ServedTable | None = None) -> ServedTable:
    """Compile what the table needs; a template that did not change is not compiled again."""
    if previous is not None and previous.table.template == table.template:
        return replace(previous, table=table)
    control_tokens = control_tokens_of(table.template)
    formatter, error = _compile(table.template)
    return ServedTable(table=table, control_tokens=control_tokens, formatter=formatter, template_error=error)


def _compile(template: Template) -> tuple[PromptFormatter | None, str | None]:
    try:
        return PromptFormatter(template), None
    except TemplateError as exc:
        return None, str(exc)
