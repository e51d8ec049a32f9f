"""A route table as it is served: with its prompt format compiled."""

from dataclasses import dataclass

from scout_proxy.errors import GenerationFailedError
from scout_proxy.route_table import RouteTable, Template
from scout_proxy.template import PromptFormatter, TemplateError


@dataclass(frozen=True, kw_only=True)
class ServedTable:
    """One revision. `template_error` says why there is no formatter."""

    table: RouteTable
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


def serve_table(table: RouteTable, previous: ServedTable | None = None) -> ServedTable:
    """Compile what the table needs; a template that did not change is not compiled again."""
    if previous is not None and previous.table.template == table.template:
        return ServedTable(table=table, formatter=previous.formatter, template_error=previous.template_error)
    formatter, error = _compile(table.template)
    return ServedTable(table=table, formatter=formatter, template_error=error)


def _compile(template: Template) -> tuple[PromptFormatter | None, str | None]:
    try:
        return PromptFormatter(template), None
    except TemplateError as exc:
        return None, str(exc)
