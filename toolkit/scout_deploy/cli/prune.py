"""`scout-deploy pull --prune`."""

import os
import sys
from collections.abc import Iterator

import typer

from scout_deploy.cli.carry import require_local
from scout_deploy.cli.context import container_runtime
from scout_deploy.cli.locking import locks_here
from scout_deploy.cli.output import Output
from scout_deploy.containers import labels
from scout_deploy.errors import DockerUnavailableError, ProfileError
from scout_deploy.profile.loader import load_profile
from scout_deploy.weights.failures import size
from scout_deploy.weights.place import cache_folder, repository_folder_name
from scout_deploy.weights.prune import Fetched, remove, unused


def prune(output: Output, *, is_agreed: bool, keep: str | None) -> None:
    """List what no deployment uses of what was fetched here, ask, and remove it.

    Args:
        is_agreed: Do not ask.
        keep: A profile whose model stays, although nothing runs it now.

    Raises:
        DockerUnavailableError: There is Docker and it does not answer: what runs there cannot be known.
        ProfileError: Nobody can be asked.
    """
    require_local()
    found = unused(cache_folder(os.environ), [*_running(), *_locked(), *_kept(keep)])
    if not found:
        output.line("Nothing to remove: deployments or locks use all weights that were fetched here.")
        output.document({"removed": [], "bytes": 0})
        return
    for one in found:
        output.line(f"  {size(one.size_bytes):>10}  {one.model_id} at {one.commit}")
    output.line(
        "note: of locks, those count that you made or ran on this machine, or that lie in this folder; "
        "--profile NAME keeps one model more",
        style="yellow",
    )
    total = sum(one.size_bytes for one in found)
    if not is_agreed and (output.as_json or not sys.stdin.isatty()):
        raise ProfileError(
            f"{_counted(found)} that no deployment or lock uses ({size(total)}) would go, and nobody can be asked here",
            next_step="the same command with --yes removes them",
        )
    if not is_agreed and not typer.confirm(f"Remove them, {size(total)}?"):
        output.line("Nothing was removed.")
        return
    _remove(output, found)


def _remove(output: Output, found: tuple[Fetched, ...]) -> None:
    removed = []
    for one in found:
        if remove(one):
            removed.append(one)
        else:
            output.line(f"note: {one.model_id} is left: another command fetches it now", style="yellow")
    total = sum(one.size_bytes for one in removed)
    output.document(
        {
            "removed": [{"model": one.model_id, "commit": one.commit, "bytes": one.size_bytes} for one in removed],
            "bytes": total,
        }
    )
    output.line(f"Removed {len(removed)} of {len(found)}: {size(total)} are free.", style="bold green")


def _counted(found: tuple[Fetched, ...]) -> str:
    return f"{len(found)} model{'s' if len(found) != 1 else ''}"


def _running() -> Iterator[tuple[str, str | None]]:
    try:
        runtime = container_runtime()
    except DockerUnavailableError as exc:
        if exc.is_absent:
            return
        raise
    try:
        for container in runtime.engine.containers(labels.DEPLOYMENT):
            if model := container.labels.get(labels.MODEL):
                # What an older version started does not say the commit.
                yield repository_folder_name(model), container.labels.get(labels.COMMIT)
    finally:
        runtime.engine.close()


def _locked() -> Iterator[tuple[str, str | None]]:
    """Keep what locks name, so that `up --locked` works without network."""
    for lock in locks_here():
        if lock.model.commit is not None and (model := lock.settings.get("model/id")):
            yield repository_folder_name(model), lock.model.commit


def _kept(profile: str | None) -> Iterator[tuple[str, str | None]]:
    model = None if profile is None else load_profile(profile, environment=os.environ).profile.model.id
    if model is not None:
        yield repository_folder_name(model), None
