"""`scout-deploy pull`."""

import contextlib
import os
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from scout_deploy.cli.carry import check_target, export, import_archive, require_local
from scout_deploy.cli.context import DEFAULT_DEPLOYMENT
from scout_deploy.cli.invocation import NAME
from scout_deploy.cli.locking import pins_of
from scout_deploy.cli.output import Output
from scout_deploy.cli.prune import prune
from scout_deploy.cli.pulled import Pulled, pull_weights
from scout_deploy.cli.start_view import StartView
from scout_deploy.cli.termination import ended_like_ctrl_c
from scout_deploy.cli.wish import read_wish
from scout_deploy.container_draft import Wish
from scout_deploy.errors import ProfileError
from scout_deploy.model_file import locate_model_file
from scout_deploy.profile.loader import LoadedProfile
from scout_deploy.progress import Teller
from scout_deploy.weights.place import is_commit

_GIGABYTE = 1e9
_MEGABYTE = 1e6


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("pull")(pull)


def pull(
    *,
    profile: Annotated[str | None, typer.Option(help="Name of a profile, or path of its file.")] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Set a key of the profile, as in model.revision=main."),
    ] = None,
    locked: Annotated[
        bool, typer.Option("--locked", help="Fetch, carry or take in exactly what the profile's lock says.")
    ] = False,
    export_to: Annotated[
        Path | None,
        typer.Option("--export", metavar="FILE", help="Write weights and images into a file for another machine."),
    ] = None,
    import_from: Annotated[
        Path | None, typer.Option("--import", metavar="FILE", help="Take weights and images from such a file instead.")
    ] = None,
    without_images: Annotated[
        bool, typer.Option("--without-images", help="With --export: the weights alone, also where Docker is.")
    ] = False,
    may_prune: Annotated[
        bool,
        typer.Option(
            "--prune", help="Remove the weights that were fetched here and that no deployment, lock or --profile uses."
        ),
    ] = False,
    is_agreed: Annotated[bool, typer.Option("--yes", help="With --prune: do not ask.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print events as JSON, one on each line.")] = False,
) -> None:
    """Fetch a profile's weights, as `up` would, and check them; what was cut off goes on where it was."""
    output = Output(as_json=as_json)
    if [may_prune, import_from is not None, export_to is not None].count(True) > 1:
        raise ProfileError("--export, --import and --prune: expected one of them")
    if is_agreed and not may_prune:
        raise ProfileError("--yes agrees to what --prune removes, and --prune is not there")
    if without_images and export_to is None:
        raise ProfileError("--without-images says what --export leaves out, and --export is not there")
    if may_prune:
        prune(output, is_agreed=is_agreed, keep=profile)
        return
    if import_from is not None:
        if locked and profile is None:
            raise ProfileError("--locked: expected --profile too, whose lock is meant")
        wanted = None if profile is None else _wish(profile, overrides, locked=locked)[1]
        _import(output, import_from, wanted)
        return
    if profile is None:
        raise ProfileError("--profile: expected the name of a profile", next_step="scout-deploy profiles list")
    loaded, wish = _wish(profile, overrides, locked=locked)
    if loaded.profile.engine.kind == "embedded":
        _nothing(output, loaded.name, locate_model_file(loaded.profile), is_export=export_to is not None)
        return
    _fetch(output, wish, export_to, with_images=not without_images)


def _wish(profile: str, overrides: list[str] | None, *, locked: bool) -> tuple[LoadedProfile, Wish]:
    loaded, wish = read_wish(profile, DEFAULT_DEPLOYMENT, overrides or ())
    return loaded, replace(wish, pins=pins_of(loaded, wish)) if locked else wish


def _fetch(output: Output, wish: Wish, export_to: Path | None, *, with_images: bool) -> None:
    if export_to is not None:
        require_local()
        check_target(export_to)
    view = StartView(output)
    teller = Teller(view.emit)
    with _ctrl_c_explained(output), ended_like_ctrl_c(), view.shown():
        pulled = pull_weights(wish, teller, os.environ)
        size = None if export_to is None else export(wish, pulled, export_to, teller, with_images=with_images)
    _report(output, wish.profile_name, pulled, teller.elapsed_s)
    if export_to is not None and size is not None:
        output.event({"event": "exported", "file": str(export_to), "bytes": size})
        output.line(f"  archive    {export_to}, {_size(size)}")
        output.line(f"  there      {shlex.join([NAME, 'pull', '--import', export_to.name])}")


@contextlib.contextmanager
def _ctrl_c_explained(output: Output) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        output.line("Stopped. What came so far is kept: the same command goes on from there.", style="yellow")
        raise


def _import(output: Output, path: Path, wish: Wish | None) -> None:
    require_local()
    view = StartView(output)
    teller = Teller(view.emit)
    with ended_like_ctrl_c(), view.shown():
        pulled, images = import_archive(path, wish, teller)
    _report(output, None if wish is None else wish.profile_name, pulled, teller.elapsed_s)
    for image in images:
        output.line(f"  image      {image}")


def _nothing(output: Output, profile: str, model_file: Path, *, is_export: bool) -> None:
    if is_export:
        raise ProfileError(
            f"profile '{profile}' serves a file of this machine, which no archive is needed for",
            next_step=f"copy the file itself: {model_file}",
        )
    size = model_file.stat().st_size
    output.event({"event": "pulled", "profile": profile, "path": str(model_file), "files": 1, "bytes": size})
    output.line(f"Nothing to fetch: profile '{profile}' serves a file of this machine, {model_file} ({_size(size)}).")


def _report(output: Output, profile: str | None, pulled: Pulled, elapsed_s: float) -> None:
    output.event(
        {
            "event": "pulled",
            "profile": profile,
            "model": pulled.model,
            "revision": pulled.revision,
            "commit": pulled.commit,
            "is_locked": pulled.is_locked,
            "path": pulled.path,
            "host": pulled.host,
            "files": pulled.files,
            "bytes": pulled.size_bytes,
            "elapsed_s": round(elapsed_s, 3),
        }
    )
    facts = [] if pulled.files is None else [f"{pulled.files} files", _size(pulled.size_bytes or 0)]
    named = pulled.revision if pulled.revision is not None and not is_commit(pulled.revision) else None
    named = "locked" if pulled.is_locked else named
    at = "" if pulled.commit is None else f" at {pulled.commit}" + (f" ({named})" if named else "")
    output.line(f"{pulled.model}{at}: {', '.join([*facts, 'whole'])}", style="bold green")
    output.line(f"  in         {pulled.path}" + (f", on {pulled.host}" if pulled.host else ""))
    if profile is not None:
        output.line(f"  start it   {shlex.join([NAME, 'up', '--profile', profile])}")


def _size(number_bytes: int) -> str:
    unit, name = (_GIGABYTE, "GB") if number_bytes >= _GIGABYTE else (_MEGABYTE, "MB")
    return f"{number_bytes / unit:.1f} {name}"
