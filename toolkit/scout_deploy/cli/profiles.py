"""`scout-deploy profiles`: list, show, validate, schema."""

import os
import sys
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from scout_deploy.cli.output import Output
from scout_deploy.errors import ProfileError
from scout_deploy.profile.catalogue import display_path
from scout_deploy.profile.layers import parse_overrides
from scout_deploy.profile.loader import load_profile
from scout_deploy.profile.schema import schema_text
from scout_deploy.profile.view import ProfileSummary, list_profiles, resolved_values, show_profile

_GAP = "  "


def register(app: typer.Typer) -> None:
    """Add the commands as a group."""
    group = typer.Typer(help="The profiles: what can be served, and how.", no_args_is_help=True)
    group.command("list")(list_)
    group.command("show")(show)
    group.command("validate")(validate)
    group.command("schema")(schema)
    app.add_typer(group, name="profiles")


def list_(*, as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False) -> None:
    """List your own profiles and those that ship with scout-deploy."""
    output = Output(as_json=as_json)
    summaries = list_profiles(os.environ)
    output.document({"profiles": [_document(summary) for summary in summaries]})
    if output.is_live:
        output.console.print(_table(summaries), soft_wrap=False)
    else:
        _print_aligned(output, summaries)


def show(
    profile: Annotated[str, typer.Argument(help="Name of a profile, or path of its file.")],
    *,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Set a key of the profile, as in proxy.port=2026. Repeatable."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the profile as JSON.")] = False,
) -> None:
    """Show a profile in full: what it extends and its defaults filled in, and where each value comes from."""
    loaded = load_profile(profile, environment=os.environ, overrides=parse_overrides(overrides or ()))
    if as_json:
        document = {
            "name": loaded.name,
            "files": [str(path) for path in loaded.chain],
            "profile": resolved_values(loaded),
            "origins": dict(loaded.origins),
        }
        Output(as_json=True).document(document)
    else:
        sys.stdout.write(show_profile(loaded))


def validate(
    profiles: Annotated[list[str], typer.Argument(help="Paths of profiles' files, or names of profiles.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check profiles, and name every problem with its file and line."""
    output = Output(as_json=as_json)
    errors: list[ProfileError] = []
    findings: list[dict[str, object]] = []
    for profile in profiles:
        try:
            loaded = load_profile(profile, environment=os.environ)
        except ProfileError as error:
            errors.append(error)
            findings.append({"profile": profile, "valid": False, "problems": error.message.splitlines()})
        else:
            output.line(f"{display_path(loaded.path)}: valid")
            findings.append({"profile": profile, "valid": True, "problems": []})
    output.document({"profiles": findings})
    if errors and as_json:
        raise typer.Exit(ProfileError.exit_code)
    if errors:
        raise ProfileError(
            "\n".join(error.message for error in errors),
            next_step=errors[0].next_step,
            evidence=tuple(line for error in errors for line in error.evidence),
        )


def schema() -> None:
    """Print the JSON Schema of profiles, for editors."""
    sys.stdout.write(schema_text())


def _document(summary: ProfileSummary) -> dict[str, object]:
    return {
        "name": summary.name,
        "description": summary.description,
        "engine": summary.engine,
        "hardware": summary.hardware,
        "path": str(summary.path),
        "problem": summary.problem,
    }


def _table(summaries: tuple[ProfileSummary, ...]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("PROFILE", no_wrap=True, style="bold")
    table.add_column("ENGINE", no_wrap=True)
    table.add_column("HARDWARE", no_wrap=True)
    table.add_column("WHAT IT SERVES", overflow="fold")
    for summary in summaries:
        words = Text(f"not usable: {summary.problem}", style="red") if summary.problem else Text(summary.description)
        table.add_row(summary.name, summary.engine, summary.hardware, words)
    return table


def _print_aligned(output: Output, summaries: tuple[ProfileSummary, ...]) -> None:
    rows = [
        (summary.name, summary.engine, summary.hardware, summary.description or f"not usable: {summary.problem}")
        for summary in summaries
    ]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    for row in rows:
        output.line(_GAP.join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]))
