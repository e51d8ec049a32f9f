"""Weights that nobody needs any more; what another program keeps in the same cache is never touched."""

import json
import os
from pathlib import Path

from scout_deploy.file_lock import FileLock
from scout_deploy.weights.prune import remove, unused

OLD, NEW = "a" * 40, "b" * 40
REPOSITORY = "models--acme--chat"


def fetch(cache: Path, repository: str, commit: str, files: dict[str, bytes], *, is_ours: bool = True) -> None:
    folder = cache / repository
    for part in ("blobs", "refs", ".scout-deploy", f"snapshots/{commit}"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for name, contents in files.items():
        blob = folder / "blobs" / contents.hex()
        blob.write_bytes(contents)
        link = folder / "snapshots" / commit / name
        link.symlink_to(os.path.relpath(blob, link.parent))
    (folder / "refs" / "main").write_text(commit, encoding="utf-8")
    if is_ours:
        (folder / ".scout-deploy" / f"{commit}.json").write_text(json.dumps({}), encoding="utf-8")


def test_an_old_commit_goes_and_what_the_new_one_shares_stays(tmp_path: Path) -> None:
    fetch(tmp_path, REPOSITORY, OLD, {"config.json": b"same", "model.safetensors": b"old weights"})
    fetch(tmp_path, REPOSITORY, NEW, {"config.json": b"same", "model.safetensors": b"new"})

    (found,) = unused(tmp_path, [(REPOSITORY, NEW)])
    assert (found.model_id, found.commit, found.size_bytes) == ("acme/chat", OLD, len(b"old weights"))

    assert remove(found)
    left = tmp_path / REPOSITORY / "snapshots"
    assert {path.name for path in left.iterdir()} == {NEW}
    assert (left / NEW / "config.json").read_bytes() == b"same"
    assert len(list((tmp_path / REPOSITORY / "blobs").iterdir())) == 2
    assert (tmp_path / REPOSITORY / "refs" / "main").read_text(encoding="utf-8") == NEW
    assert unused(tmp_path, [(REPOSITORY, NEW)]) == ()


def test_the_last_commit_takes_the_repository_with_it(tmp_path: Path) -> None:
    fetch(tmp_path, REPOSITORY, OLD, {"model.safetensors": b"old"})

    (found,) = unused(tmp_path, [])

    assert remove(found)
    assert list(tmp_path.iterdir()) == []


def test_what_another_program_fetched_or_a_deployment_uses_is_not_listed(tmp_path: Path) -> None:
    fetch(tmp_path, "models--acme--theirs", OLD, {"model.safetensors": b"theirs"}, is_ours=False)
    fetch(tmp_path, REPOSITORY, OLD, {"model.safetensors": b"ours"})

    assert unused(tmp_path, [(REPOSITORY, OLD)]) == ()
    assert unused(tmp_path, [(REPOSITORY, None)]) == ()
    assert unused(tmp_path / "nowhere", []) == ()


def test_what_is_being_fetched_is_left(tmp_path: Path) -> None:
    fetch(tmp_path, REPOSITORY, OLD, {"model.safetensors": b"ours"})
    (found,) = unused(tmp_path, [])

    with FileLock(tmp_path / REPOSITORY / ".scout-deploy" / "lock", "process 7"):
        assert not remove(found)

    assert found.snapshot.is_dir()
