"""`scout-deploy lock`."""

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from scout_deploy.cli.context import DEFAULT_DEPLOYMENT
from scout_deploy.cli.invocation import NAME
from scout_deploy.cli.locking import known_locks, model_of_files
from scout_deploy.cli.output import Output
from scout_deploy.cli.wish import read_wish
from scout_deploy.container_draft import Wish
from scout_deploy.errors import ProfileError
from scout_deploy.profile.settings import flatten_settings
from scout_deploy.profile_lock.compare import locked_settings
from scout_deploy.profile_lock.document import LockedImage, LockedModel, ProfileLock, read_lock, write_lock
from scout_deploy.profile_lock.place import lock_path


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("lock")(lock)


def lock(
    *,
    profile: Annotated[str, typer.Option(help="Name of a profile, or path of its file.")],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Set a key of the profile; `up --locked` needs the same."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the lock, and its path, as JSON.")] = False,
) -> None:
    """Write down the image, the commit and the settings that a profile means now, for `up --locked`."""
    output = Output(as_json=as_json)
    loaded, wish = read_wish(profile, DEFAULT_DEPLOYMENT, overrides or ())
    model, image = model_of_files(wish), None
    if wish.profile.engine.kind != "embedded":
        model, image = _of_containers(wish, model)
    made = ProfileLock(
        profile=loaded.name,
        model=model,
        image=image,
        settings=locked_settings(flatten_settings(wish.profile, wish.version)),
    )
    path = lock_path(loaded.path, os.environ)
    is_same = _is(path, made)
    write_lock(path, made)
    known_locks().remember(path)
    output.document({"file": str(path), "is_same": is_same, "lock": made.model_dump(mode="json", exclude_none=True)})
    output.line(f"{path}: {'unchanged' if is_same else 'written'}", style="bold green")
    if image is not None:
        output.line(f"  image      {image.digest}")
    if model.commit is not None:
        output.line(f"  commit     {model.commit}")
    for name, size in model.files.items():
        by_size = "" if model.sha256 is not None or name in model.checksums else ", compared by its size alone"
        output.line(f"  file       {name}, {size} bytes{by_size}")
    if model.sha256 is not None:
        output.line(f"  SHA-256    {model.sha256}")
    output.line(f"  settings   {len(made.settings)}")
    output.line(f"  use it     {shlex.join([NAME, 'up', '--profile', wish.profile_name, '--locked'])}")


def _is(path: Path, made: ProfileLock) -> bool:
    try:
        return read_lock(path) == made
    except ProfileError:
        # What cannot be read is what this command writes anew.
        return False


def _of_containers(wish: Wish, model: LockedModel) -> tuple[LockedModel, LockedImage]:
    # Here, because a lock of the embedded engine needs neither library.
    from scout_deploy.cli.lock_container import locked_commit, locked_image

    image = locked_image(wish)
    return (model if wish.profile.model.path is not None else locked_commit(wish)), image
