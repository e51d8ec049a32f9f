"""Where a command's answer goes: for a person at a terminal, plain in a pipe, JSON for machines."""

import json
import sys
from collections.abc import Mapping

from rich.console import Console

# A pipe has no width of its own, and a table that is folded there cannot be searched.
_PIPE_WIDTH = 200


class Output:
    """What commands print with.

    Args:
        as_json: Print one JSON document, or one for each event, and nothing else on standard output.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        # Rich drops colour and movement by itself where the output is no terminal; wrapping must not break pipes.
        # What engines and registries say is shown as it is: `:x:` and `[b]` are text.
        self.console = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
        if not self.console.is_terminal:
            self.console.width = _PIPE_WIDTH

    @property
    def is_live(self) -> bool:
        """Whether a person watches, so that lines may be redrawn."""
        return self.console.is_terminal and not self.as_json

    def line(self, text: str = "", style: str | None = None) -> None:
        """Print a line for a person; nothing under --json."""
        if not self.as_json:
            self.console.print(text, style=style, markup=False)

    def document(self, document: object) -> None:
        """Print one JSON document, under --json alone."""
        if self.as_json:
            print(json_text(document, indent=2))

    def event(self, event: Mapping[str, object]) -> None:
        """Print one JSON event on a line of its own, under --json alone."""
        if self.as_json:
            print(json_text(event))
            sys.stdout.flush()


def json_text(document: object, *, indent: int | None = None) -> str:
    """Return JSON that standard output can carry, so that it parses wherever it goes."""
    is_utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    return json.dumps(document, indent=indent, ensure_ascii=not is_utf8)
