"""The command line as a whole."""

import typer

from scout_deploy.cli import down, generate, logs, profiles, status, up
from scout_proxy.version import __version__


def create_app() -> typer.Typer:
    """Return the command line with all its commands."""
    app = typer.Typer(
        name="scout-deploy",
        help="Run one large language model on your own machines, behind one small, stable REST API.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.command("version", help="Print the version.")(_version)
    for command in (up, down, status, logs, generate, profiles):
        command.register(app)
    return app


def _version() -> None:
    print(__version__)
