"""`scout-deploy keys`: new."""

from pathlib import Path
from typing import Annotated

import typer

from scout_deploy.api_keys.key_list import key_line
from scout_deploy.api_keys.key_writing import append_key
from scout_deploy.api_keys.named_key import NamedKey, name_problem, new_key
from scout_deploy.cli.output import Output
from scout_deploy.errors import ProfileError


def register(app: typer.Typer) -> None:
    """Add the commands as a group."""
    group = typer.Typer(help="The API keys: who may use the API.", no_args_is_help=True)
    # A group of one command would be that command.
    group.callback()(_keys)
    group.command("new")(new)
    app.add_typer(group, name="keys")


def _keys() -> None:
    """The API keys: who may use the API."""


def new(
    name: Annotated[str, typer.Argument(help="Whose key it is: shown in logs and metrics.")],
    *,
    file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="File of keys to add it to, as proxy/keys/file names it; made where missing."
        ),
    ] = None,
    requests_per_minute: Annotated[
        float | None, typer.Option(min=0.001, help="The most requests of a minute, instead of the profile's limit.")
    ] = None,
    max_concurrent: Annotated[
        int | None, typer.Option(min=1, help="The most requests at once, instead of the profile's limit.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the key and its line as JSON.")] = False,
) -> None:
    """Make a key, and print it this once: a deployment keeps only its digest."""
    output = Output(as_json=as_json)
    if problem := name_problem(name):
        raise ProfileError(f"NAME: {problem}", next_step="scout-deploy keys new NAME, with such a name")
    key = NamedKey(name=name, key=new_key(), requests_per_minute=requests_per_minute, max_concurrent=max_concurrent)
    if file is not None:
        append_key(file.expanduser(), key)
    output.document({"name": name, "key": key.key, "line": key_line(key), "file": None if file is None else str(file)})
    output.line(f"key   {key.key}")
    if file is None:
        output.line(f"line  {key_line(key)}")
        output.line("Put the line into the file that proxy/keys/file names; the key is shown this once.")
    else:
        output.line(f"It is in {file} now. Where a deployment runs with that file: scout-deploy up --replace")
