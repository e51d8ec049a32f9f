"""`scout-deploy doctor`."""

import os
from dataclasses import asdict
from typing import Annotated

import typer
from rich.text import Text

from scout_deploy.cli.output import Output
from scout_deploy.doctor.checks import examine
from scout_deploy.doctor.gather import gather
from scout_deploy.doctor.outcome import Diagnosis, EngineKind
from scout_deploy.profile.loader import load_profile
from scout_deploy.runtimes.docker_engine import DockerEngine

_STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red", "not needed": "dim"}
_TITLES: dict[EngineKind, str] = {"embedded": "the embedded engine (CPU, no Docker)", "tgi": "TGI in containers"}
_FAILED = 1


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(
    *,
    profile: Annotated[
        str | None, typer.Option(help="Check for this profile alone: its name, or the path of its file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check what this machine can run, and say what would help. Nothing is changed."""
    output = Output(as_json=as_json)
    loaded = None if profile is None else load_profile(profile, environment=os.environ)
    wanted = None if loaded is None else loaded.profile
    diagnosis = examine(gather(os.environ, DockerEngine.connect, wanted), wanted)
    output.document(
        {
            "profile": None if loaded is None else loaded.name,
            "healthy": diagnosis.is_healthy,
            "works": dict(diagnosis.works)
            if wanted is None
            else {wanted.engine.kind: diagnosis.works[wanted.engine.kind]},
            "findings": [asdict(finding) for finding in diagnosis.findings],
        }
    )
    _show(output, diagnosis)
    output.line()
    if loaded is None:
        _conclude(output, diagnosis)
    elif diagnosis.is_healthy:
        output.line(f"Nothing speaks against profile '{loaded.name}' here.", style="bold green")
    else:
        output.line(f"Profile '{loaded.name}' cannot run here: see the problems above.", style="bold red")
    if not diagnosis.is_healthy:
        raise typer.Exit(_FAILED)


def _show(output: Output, diagnosis: Diagnosis) -> None:
    if output.as_json:
        return
    level_width = max(len(finding.level) for finding in diagnosis.findings)
    check_width = max(len(finding.check) for finding in diagnosis.findings)
    for finding in diagnosis.findings:
        level = (finding.level.ljust(level_width), _STYLES[finding.level])
        output.console.print(Text.assemble(level, f"  {finding.check.ljust(check_width)}  {finding.fact}"))
        if finding.fix is not None:
            output.console.print(Text(f"{' ' * (level_width + check_width + 4)}fix: {finding.fix}", style="dim"))


def _conclude(output: Output, diagnosis: Diagnosis) -> None:
    for engine, title in _TITLES.items():
        missing = tuple(dict.fromkeys(diagnosis.missing[engine]))
        if missing:
            output.line(f"Missing for {title}: {', '.join(missing)}.")
        else:
            output.line(f"Nothing speaks against {title} here.", style="green")
