"""The command line as a whole. A command's module is imported when the command is run, and not before."""

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

from scout_deploy.cli.invocation import NAME
from scout_deploy.errors import CommandLineError
from scout_proxy.version import __version__

# What `--help` says of each, which is the first sentence of its own help; the module has the command's name.
COMMANDS = {
    "up": "Start a deployment, and return when its first generation worked.",
    "pull": "Fetch a profile's weights, as `up` would, and check them; what was cut off goes on where it was.",
    "lock": "Write down the image, the commit and the settings that a profile means now, for `up --locked`.",
    "down": "Stop a deployment: requests in flight are finished, then nothing of it is left.",
    "status": "Show what runs, since when, and what went wrong.",
    "logs": "Show what proxy, engines and supervisor wrote.",
    "diagnose": "Say why an engine died: the cause, the lines that show it, and what would help.",
    "generate": "Ask the API to generate, and print the answer.",
    "bench": "Measure how fast a deployment is and how many requests it carries, and compare measurements.",
    "keys": "The API keys: who may use the API.",
    "profiles": "The profiles: what can be served, and how.",
    "doctor": "Check what this machine can run, and say what would help. Nothing is changed.",
    "plan": "Say beforehand whether a model fits, with how much context, and what would do where it does not.",
    "render": "Write what `up` would start as files for other programs.",
}

# Of every wrong command line, also of a command or an option that there is not; the library has no public name for it.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]


def create_app() -> typer.Typer:
    """Return the command line with all its commands."""
    app = typer.Typer(
        name="scout-deploy",
        help="Run one large language model on your own machines, behind one small, stable REST API.",
        cls=_Commands,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.command("version", help="Print the version.")(_version)
    for name, summary in COMMANDS.items():
        app.command(name, help=summary)(_placeholder)
    return app


def run_command_line(*, as_json: bool) -> int:
    """Run what `sys.argv` says and return the exit status.

    Args:
        as_json: Raise what is wrong with the command line, which is shown as text and ends the process otherwise.

    Raises:
        CommandLineError: It is wrong.
        DeployError: What it says cannot be done.
    """
    try:
        return create_app()(standalone_mode=not as_json) or 0
    except _UsageError as exc:
        raise _command_line_error(exc) from exc


def load_command(name: str) -> Any:
    """Return a command that can be run, with all its options, as the library wants it."""
    alone = typer.Typer()
    import_module(f"scout_deploy.cli.{name}").register(alone)
    return get_group(alone).commands[name]


class _Commands(TyperGroup):
    """Knows every command by its summary alone: the libraries of Docker and the hub take longer than most commands."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        return name, load_command(name) if name in COMMANDS else command, rest


def _command_line_error(exc: Any) -> CommandLineError:
    command = exc.ctx.command_path if exc.ctx is not None else NAME
    return CommandLineError(exc.format_message(), next_step=f"{command} --help lists what there is")


def _version() -> None:
    print(__version__)


def _placeholder() -> None:
    """Stand for a command in the list of them."""
