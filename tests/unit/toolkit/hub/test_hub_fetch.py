"""Downloads: real huggingface_hub against a hub on loopback."""

import threading
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from huggingface_hub import file_download

from fakes.hub_server import COMMIT, HubServer
from fakes.running_proxy import wait_until
from fakes.small_model import FETCHED, FILES, FIRST, MODEL, SECOND, SHARD, TOTAL, assert_whole, ignore
from scout_deploy.errors import WeightsError
from scout_deploy.hub import Hub
from scout_deploy.weights.cache import WeightsCache
from scout_deploy.weights.failures import HubUnreachableError
from scout_deploy.weights.files import needed_files
from scout_deploy.weights.obtain import obtain
from scout_deploy.weights.repository import DownloadProgress


def test_a_branch_resolves_to_its_commit_and_files(hub: Hub) -> None:
    revision = hub.resolve(MODEL)

    assert (revision.commit, revision.name, revision.gated) == (COMMIT, "main", False)
    assert {file.path: file.size_bytes for file in revision.files} == {path: len(FILES[path]) for path in FILES}
    assert {file.path for file in revision.files if file.sha256} == {FIRST, SECOND}


def test_what_the_engine_needs_is_fetched_and_nothing_else(hub: Hub, cache: Path) -> None:
    snapshot = obtain(hub, MODEL, "main", ignore)

    assert snapshot == cache / "models--acme--small-chat" / "snapshots" / COMMIT
    assert_whole(snapshot)


def test_plain_http_is_used_although_the_hub_offers_its_own_protocol(hub: Hub, server: HubServer) -> None:
    obtain(hub, MODEL, "main", ignore)

    assert not [one for one in server.seen if "xet" in one.path]
    assert [one.at for one in server.contents_seen(FIRST)] == ["storage"]


def test_progress_counts_bytes_of_all_files_and_ends_at_the_total(hub: Hub, server: HubServer) -> None:
    server.trouble(FIRST).hold_after = 600_000
    seen: list[DownloadProgress] = []

    def watch(now: DownloadProgress) -> None:
        seen.append(now)
        if now.done_bytes >= TOTAL - SHARD + 512 * 1024:
            server.release()

    obtain(hub, MODEL, "main", watch)

    done = [now.done_bytes for now in seen]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0, TOTAL)
    assert any(now.file == FIRST and TOTAL - SHARD < now.done_bytes < TOTAL for now in seen)
    assert {now.total_bytes for now in seen} == {TOTAL}


def test_connections_that_break_are_resumed_where_they_broke(hub: Hub, server: HubServer) -> None:
    server.trouble(FIRST).cuts.extend([300_000, 300_000])
    server.trouble(SECOND).cuts.append(600_000)

    assert_whole(obtain(hub, MODEL, "main", ignore))

    assert [one.range for one in server.contents_seen(FIRST)] == [None, "bytes=262144-", "bytes=524288-"]
    assert [one.range for one in server.contents_seen(SECOND)] == [None, "bytes=524288-"]


def test_a_line_that_breaks_often_gets_there_as_long_as_bytes_come(hub: Hub, server: HubServer) -> None:
    # More cuts than pauses between tries: each of them brought something.
    server.trouble(FIRST).cuts.extend([262_144, 262_144, 0])

    assert_whole(obtain(hub, MODEL, "main", ignore))


def test_an_address_of_the_storage_that_has_expired_is_asked_for_again(hub: Hub, server: HubServer) -> None:
    server.trouble(FIRST).refusals.append(403)

    assert_whole(obtain(hub, MODEL, "main", ignore))


def test_a_connection_that_stays_broken_is_named_and_what_came_is_kept(hub: Hub, server: HubServer) -> None:
    server.trouble(FIRST).cuts.extend([300_000, 0, 0, 0])

    with pytest.raises(HubUnreachableError, match="cannot be reached, or the connection broke") as caught:
        obtain(hub, MODEL, "main", ignore)

    assert caught.value.exit_code == 16
    assert "what came so far is kept" in str(caught.value.next_step)
    assert hub.find_cached(MODEL) is None
    server.troubles.clear()
    server.seen.clear()
    assert_whole(obtain(hub, MODEL, "main", ignore))
    assert [one.range for one in server.contents_seen(FIRST)] == ["bytes=262144-"]


def test_ctrl_c_leaves_no_half_file_under_its_name_and_the_next_run_goes_on(
    hub: Hub, server: HubServer, cache: Path
) -> None:
    snapshot = cache / "models--acme--small-chat" / "snapshots" / COMMIT
    server.trouble(SECOND).hold_after = 300_000
    # However late Ctrl-C reaches the download, the rest of the held file does not come before it.
    server.trouble(SECOND).cuts.extend([400_000, 0, 0, 0])

    def interrupt(now: DownloadProgress) -> None:
        if now.done_bytes >= TOTAL - SHARD + 262_144 and (snapshot / FIRST).exists():
            server.release()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        obtain(hub, MODEL, "main", interrupt)

    assert not (snapshot / SECOND).exists()
    assert all((snapshot / path).read_bytes() == FILES[path] for path in FETCHED - {SECOND})
    wait_until(
        lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("worker")],
        "nobody works on",
    )
    server.troubles.clear()
    server.seen.clear()
    assert_whole(obtain(hub, MODEL, "main", ignore))
    assert [str(one.range)[:6] for one in server.contents_seen(SECOND)] == ["bytes="]
    assert server.contents_seen(FIRST) == []


def test_contents_with_another_checksum_are_removed(hub: Hub, server: HubServer) -> None:
    server.trouble(SECOND).corrupted = True

    with pytest.raises(WeightsError, match=f"{SECOND} came with another checksum"):
        obtain(hub, MODEL, "main", ignore)

    assert hub.find_cached(MODEL, "main") is None
    server.troubles.clear()
    assert_whole(obtain(hub, MODEL, "main", ignore))


def test_a_small_file_is_checked_too(hub: Hub, server: HubServer) -> None:
    server.trouble("config.json").corrupted = True

    with pytest.raises(WeightsError, match=r"config\.json came with another checksum"):
        obtain(hub, MODEL, "main", ignore)


def test_a_disk_that_is_too_small_is_found_before_a_byte_is_fetched(server: HubServer, cache: Path) -> None:
    hub = Hub(cache=cache, endpoint=server.endpoint, free_bytes=lambda _: TOTAL - 1)

    with pytest.raises(WeightsError, match=r"the weights need 1 MB more, and .* has 1 MB free"):
        obtain(hub, MODEL, "main", ignore)

    assert server.contents_seen("config.json") == []


def test_a_disk_that_fills_meanwhile_is_named_and_what_came_is_kept(hub: Hub, server: HubServer, cache: Path) -> None:
    revision = hub.resolve(MODEL)
    (second,) = (file for file in revision.files if file.path == SECOND)
    collected = WeightsCache(folder=cache).incomplete(revision, second)
    collected.parent.mkdir(parents=True)
    # The kernel's own full disk: whatever is written there does not fit.
    collected.symlink_to("/dev/full")

    with pytest.raises(WeightsError, match=r"the disk of .*/hub is full") as caught:
        obtain(hub, MODEL, "main", ignore)

    assert "what came so far is kept" in str(caught.value.next_step)
    assert hub.find_cached(MODEL) is None
    collected.unlink(missing_ok=True)
    server.seen.clear()
    assert_whole(obtain(hub, MODEL, "main", ignore))
    assert server.contents_seen("config.json") == []


def test_a_disk_that_fills_leaves_no_connection_to_the_collector(hub: Hub, server: HubServer, cache: Path) -> None:
    revision = hub.resolve(MODEL)
    (second,) = (file for file in revision.files if file.path == SECOND)
    collected = WeightsCache(folder=cache).incomplete(revision, second)
    collected.parent.mkdir(parents=True)
    collected.symlink_to("/dev/full")
    # So that the answer has not come whole.
    server.trouble(SECOND).hold_after = 600_000
    with pytest.raises(WeightsError, match="is full") as caught:
        obtain(hub, MODEL, "main", ignore)
    server.release()

    answers = list(answers_behind(caught.value))
    assert answers
    assert all(answer.raw.closed for answer in answers)


def answers_behind(error: BaseException | None) -> Iterator[requests.Response]:
    """Find the answers that were being read where an error, or what caused it, was raised."""
    while error is not None:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            yield from (one for one in frame.f_locals.values() if isinstance(one, requests.Response))
        error = error.__cause__


def test_a_disk_with_less_than_a_whole_file_is_not_warned_of(cache: Path) -> None:
    """What is missing of all files together was held against the disk before; part of this one may be there."""
    Hub(cache=cache)

    file_download._check_disk_space(2**60, cache.parent)


def test_a_file_that_cannot_be_written_names_the_folder(server: HubServer, tmp_path: Path) -> None:
    (tmp_path / "hub").write_text("a file where the folder should be")

    with pytest.raises(WeightsError, match=r"cannot be written below .*/hub: Not a directory"):
        obtain(Hub(cache=tmp_path / "hub", endpoint=server.endpoint, retry_pauses_s=()), MODEL, "main", ignore)


def test_files_are_fetched_in_the_order_asked_for_first_the_small_ones(hub: Hub) -> None:
    files = needed_files(MODEL, hub.resolve(MODEL).files)

    assert [file.path for file in files][-2:] == [FIRST, SECOND]
    assert {file.path for file in files} == FETCHED
