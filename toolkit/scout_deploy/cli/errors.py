"""How an error reaches the user: what failed, the evidence, and the next step, on standard error."""

import sys

from rich.console import Console
from rich.text import Text

from scout_deploy.cli.output import json_text
from scout_deploy.errors import DeployError


def print_error(error: DeployError, *, as_json: bool) -> None:
    """Print an error for a person, or as one JSON object on standard output."""
    if as_json:
        document = {
            "event": "error",
            "error": type(error).__name__,
            "exit_code": error.exit_code,
            "message": error.message,
            "next_step": error.next_step,
            "evidence": list(error.evidence),
        }
        print(json_text(document))
        return
    console = Console(file=sys.stderr, highlight=False, soft_wrap=True)
    console.print(Text.assemble(("error: ", "bold red"), error.message))
    for line in error.evidence:
        console.print(Text(f"  {line}", style="dim"))
    if error.next_step is not None:
        console.print(Text.assemble(("next: ", "bold"), error.next_step))
