"""Two commands that want the same model, and models that are damaged as they were published."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fakes.hub_server import HubServer
from fakes.safetensors_file import safetensors_file
from fakes.small_model import FILES, FIRST, MODEL, SECOND, SHARD, TOTAL, assert_whole, ignore
from scout_deploy.errors import WeightsError
from scout_deploy.file_lock import FileLock
from scout_deploy.hub import Hub
from scout_deploy.weights.obtain import obtain
from scout_deploy.weights.repository import DownloadProgress


def test_the_second_of_two_downloads_waits_and_finds_the_work_done(
    hub: Hub, server: HubServer, cache: Path, tmp_path: Path
) -> None:
    server.trouble(SECOND).hold_after = 300_000
    command = (sys.executable, "-m", "scout_deploy.weights.fetch", "--model-id", MODEL, "--cache", str(cache))
    first = subprocess.Popen(
        command,
        env={**os.environ, "HOME": str(tmp_path), "HF_ENDPOINT": server.endpoint},
        stdout=subprocess.PIPE,
        text=True,
    )
    seen: list[DownloadProgress] = []

    def watch(now: DownloadProgress) -> None:
        seen.append(now)
        if now.waits_for is not None:
            server.release()

    with first:
        assert first.stdout is not None
        # The first event comes after it has its turn.
        first.stdout.readline()
        snapshot = obtain(hub, MODEL, "main", watch)
        first.stdout.read()

    assert first.returncode == 0
    assert_whole(snapshot)
    assert f"process {first.pid}" in {now.waits_for for now in seen}
    assert (seen[-1].waits_for, seen[-1].done_bytes) == (None, TOTAL)
    assert [len(server.contents_seen(path)) for path in (FIRST, SECOND)] == [1, 1]


def test_ctrl_c_ends_the_wait_too(hub: Hub, cache: Path) -> None:
    def interrupt(now: DownloadProgress) -> None:
        assert now.waits_for == "process 7"
        raise KeyboardInterrupt

    lock = cache / "models--acme--small-chat" / ".scout-deploy" / "lock"
    lock.parent.mkdir(parents=True)
    with FileLock(lock, "process 7"), pytest.raises(KeyboardInterrupt):
        obtain(hub, MODEL, "main", interrupt)


def test_an_index_that_names_missing_shards_is_found_before_the_weights_come(hub: Hub, server: HubServer) -> None:
    index = json.dumps({"weight_map": {"a": FIRST, "b": "model-00003-of-00003.safetensors"}}).encode()
    server.add(MODEL, {**FILES, "model.safetensors.index.json": index})

    with pytest.raises(WeightsError, match=r"names model-00003-of-00003\.safetensors, and there is no such file"):
        obtain(hub, MODEL, "main", ignore)

    assert server.contents_seen(FIRST) == []


def test_a_header_that_is_damaged_as_published_is_named_each_time(hub: Hub, server: HubServer) -> None:
    damaged = b"\xff" * 8 + safetensors_file(SHARD)[8:]
    server.add(MODEL, {**FILES, SECOND: damaged})

    for _ in range(2):
        with pytest.raises(WeightsError, match=f"{SECOND} is not a readable safetensors file"):
            obtain(hub, MODEL, "main", ignore)
