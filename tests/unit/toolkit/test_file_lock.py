import resource
import subprocess
import sys
from pathlib import Path

import pytest

from scout_deploy.file_lock import FileLock, LockHeldError


def test_a_held_lock_names_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "lock"

    with FileLock(path, "scout-deploy up (pid 7)"), pytest.raises(LockHeldError) as caught:
        FileLock(path, "another").__enter__()

    assert caught.value.holder == "scout-deploy up (pid 7)"


def test_a_released_lock_can_be_taken_again(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with FileLock(path, "first"):
        pass

    with FileLock(path, "second"):
        assert path.read_text(encoding="utf-8") == "second\n"


def test_a_killed_holder_frees_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    code = f"""
from pathlib import Path
from scout_deploy.file_lock import FileLock
with FileLock(Path({str(path)!r}), "doomed"):
    print("held", flush=True)
    input()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(LockHeldError):
            FileLock(path, "too early").__enter__()
        holder.kill()
        holder.wait()

        with FileLock(path, "heir"):
            assert path.read_text(encoding="utf-8") == "heir\n"


def test_a_full_disk_keeps_nobody_from_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with FileLock(path, "unwritten"), pytest.raises(LockHeldError, match="another process"):
            FileLock(path, "too early").__enter__()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
