"""What is on this disk already, and what the next download makes of it."""

import shutil
from pathlib import Path

import pytest

from fakes.hub_server import COMMIT, HubServer
from fakes.small_model import FILES, FIRST, MODEL, SECOND, SHARD, TOTAL, assert_whole, ignore
from scout_deploy.hub import Hub
from scout_deploy.weights.cache import WeightsCache
from scout_deploy.weights.obtain import obtain


def test_a_second_run_works_with_the_hub_gone(hub: Hub, server: HubServer) -> None:
    first = obtain(hub, MODEL, "main", ignore)
    server.stop()

    assert obtain(hub, MODEL, "main", ignore) == first
    assert hub.find_cached(MODEL, "main") == first


def test_a_commit_that_is_there_is_used_without_asking(hub: Hub, server: HubServer) -> None:
    first = obtain(hub, MODEL, COMMIT, ignore)
    server.seen.clear()

    assert obtain(hub, MODEL, COMMIT, ignore) == first
    assert server.seen == []


def test_a_branch_that_moved_is_fetched_again_and_shares_what_did_not_change(hub: Hub, server: HubServer) -> None:
    obtain(hub, MODEL, "main", ignore)
    server.add(MODEL, {**FILES, "config.json": b'{"architectures": ["Other"]}'}, commit="b" * 40)
    server.seen.clear()

    snapshot = obtain(hub, MODEL, "main", ignore)

    assert snapshot.name == "b" * 40
    assert (snapshot / "config.json").read_bytes() == b'{"architectures": ["Other"]}'
    assert server.contents_seen(FIRST) == []
    assert hub.find_cached(MODEL, "main") == snapshot
    assert hub.find_cached(MODEL, COMMIT) is not None


def test_a_snapshot_that_lost_a_file_is_not_taken_for_whole(hub: Hub) -> None:
    snapshot = obtain(hub, MODEL, "main", ignore)
    (snapshot / "tokenizer.json").unlink()

    assert hub.find_cached(MODEL, "main") is None


def test_a_copy_of_another_size_in_the_cache_is_fetched_anew(hub: Hub) -> None:
    snapshot = obtain(hub, MODEL, "main", ignore)
    (snapshot / FIRST).resolve().write_bytes(b"broke off")

    assert_whole(obtain(hub, MODEL, "main", ignore))


@pytest.mark.parametrize("is_good", [True, False])
def test_a_file_that_was_never_checked_is_checked_by_the_next_download(
    hub: Hub, server: HubServer, cache: Path, *, is_good: bool
) -> None:
    snapshot = obtain(hub, MODEL, "main", ignore)
    revision = hub.resolve(MODEL)
    # As a kill leaves it, between a file's last byte and its check.
    WeightsCache(folder=cache).doubt(revision, next(file for file in revision.files if file.path == FIRST))
    if not is_good:
        (snapshot / FIRST).resolve().write_bytes(bytes(SHARD))
    server.seen.clear()

    assert hub.find_cached(MODEL) is None
    assert_whole(obtain(hub, MODEL, "main", ignore))
    assert hub.find_cached(MODEL) == snapshot
    assert len(server.contents_seen(FIRST)) == (0 if is_good else 1)


def test_more_than_the_whole_of_a_file_is_thrown_away(hub: Hub, cache: Path) -> None:
    revision = hub.resolve(MODEL)
    first = next(file for file in revision.files if file.path == FIRST)
    blobs = cache / "models--acme--small-chat" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{first.sha256}.incomplete").write_bytes(bytes(SHARD + 1))

    assert_whole(obtain(hub, MODEL, "main", ignore))


def test_what_is_there_already_needs_no_space(server: HubServer, cache: Path) -> None:
    free = [TOTAL, 0]
    hub = Hub(cache=cache, endpoint=server.endpoint, free_bytes=lambda _: free.pop(0))
    obtain(hub, MODEL, "main", ignore)

    assert_whole(obtain(hub, MODEL, "main", ignore))
    assert free == []


def test_a_cache_that_another_program_filled_counts_when_it_is_whole(hub: Hub, cache: Path) -> None:
    snapshot = obtain(hub, MODEL, "main", ignore)
    shutil.rmtree(cache / "models--acme--small-chat" / ".scout-deploy")

    assert hub.find_cached(MODEL, "main") == snapshot
    (snapshot / SECOND).unlink()
    assert hub.find_cached(MODEL, "main") is None
