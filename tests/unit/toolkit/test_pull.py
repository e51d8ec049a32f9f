import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from scout_deploy.containers.pull import PullProgress, PullReader

ANSWERS = Path(__file__).parents[2] / "data/docker_answers"
STREAMS = sorted(path.stem for path in ANSWERS.glob("pull-*.jsonl"))


def events(name: str) -> Iterator[Mapping[str, Any]]:
    for line in (ANSWERS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
        yield json.loads(line)


def read(name: str) -> tuple[PullReader, list[PullProgress]]:
    reader = PullReader()
    return reader, [reader.read(event) for event in events(name)]


def downloading(layer: str, current: int, total: int) -> dict[str, object]:
    return {"status": "Downloading", "id": layer, "progressDetail": {"current": current, "total": total}}


@pytest.mark.parametrize("name", STREAMS)
def test_percentages_and_totals_never_fall(name: str) -> None:
    _, seen = read(name)

    percents = [one.percent for one in seen if one.percent is not None]
    totals = [one.total_bytes for one in seen]
    assert percents == sorted(percents)
    assert totals == sorted(totals)
    assert all(0 <= percent <= 100 for percent in percents)
    assert all(one.done_bytes <= one.total_bytes for one in seen)


def test_a_fresh_pull_ends_with_every_byte_and_its_digest() -> None:
    reader, seen = read("pull-fresh")

    assert seen[-1] == PullProgress(layers=5, layers_done=5, done_bytes=5_437_440, total_bytes=5_437_440, percent=100.0)
    assert reader.digest is not None
    assert reader.digest.startswith("sha256:")
    assert reader.error is None


def test_before_all_sizes_are_known_the_rest_counts_as_not_fetched() -> None:
    _, seen = read("pull-fresh")
    first = next(one for one in seen if one.percent is not None)

    # One layer of five has named its size, 1,505,280 bytes, of which 32,768 are here.
    assert (first.layers, first.done_bytes, first.total_bytes) == (5, 32_768, 1_505_280)
    assert first.percent == pytest.approx(100 * 32_768 / 1_505_280 / 5)


def test_unpacking_is_told_until_it_is_done() -> None:
    _, seen = read("pull-fresh")

    assert any(one.is_extracting for one in seen)
    assert not seen[0].is_extracting
    assert not seen[-1].is_extracting


def test_layers_that_are_here_already_have_no_bytes_to_fetch() -> None:
    _, seen = read("pull-shared-layers")

    assert seen[2] == PullProgress(layers=2, layers_done=2, done_bytes=0, total_bytes=0)
    assert seen[-1] == PullProgress(layers=3, layers_done=3, done_bytes=706_560, total_bytes=706_560, percent=100.0)


def test_an_image_that_is_up_to_date_has_no_layers() -> None:
    reader, seen = read("pull-up-to-date")

    assert seen[-1] == PullProgress(layers=0, layers_done=0, done_bytes=0, total_bytes=0)
    assert reader.digest is not None


def test_a_broken_connection_goes_on_where_it_was() -> None:
    _, seen = read("pull-connection-broken")
    done = [one.done_bytes for one in seen]

    # The daemon speaks of 309,600 bytes then, the rest of 409,600.
    assert done == sorted(done)
    assert 132_768 in done
    assert {one.total_bytes for one in seen} == {0, 409_600}
    assert seen[-1].percent == 100.0


def test_a_disk_that_fills_while_unpacking_is_an_error() -> None:
    reader, seen = read("pull-disk-full")

    assert reader.error is not None
    assert reader.error.endswith("no space left on device")
    assert seen[-1].total_bytes == 13_068_318_414
    assert seen[-1].is_extracting


def test_a_layer_of_unknown_size_is_not_counted() -> None:
    # https://github.com/docker/docker-py/issues/876
    reader = PullReader()
    reader.read(downloading("aaaaaaaaaaaa", 500, 1000))

    progress = reader.read(downloading("379cc190f32e", 7_395_421, -1))

    assert (progress.done_bytes, progress.total_bytes) == (500, 1000)
    assert progress.percent == 50.0


def test_seconds_of_unpacking_are_not_taken_for_bytes() -> None:
    # https://github.com/dstackai/dstack/pull/3921
    reader = PullReader()

    progress = reader.read(
        {"status": "Extracting", "progressDetail": {"current": 3, "units": "s"}, "id": "9cb31e2e37ea"}
    )

    assert (progress.done_bytes, progress.total_bytes, progress.percent, progress.is_extracting) == (0, 0, None, True)


def test_a_layer_that_came_at_once_names_its_size_when_it_is_unpacked() -> None:
    reader = PullReader()
    reader.read({"status": "Download complete", "progressDetail": {}, "id": "a"})

    progress = reader.read({"status": "Extracting", "progressDetail": {"current": 10, "total": 300}, "id": "a"})

    assert (progress.done_bytes, progress.total_bytes, progress.percent) == (300, 300, 100.0)


def test_an_error_without_layers_is_kept() -> None:
    reader = PullReader()

    progress = reader.read({"errorDetail": {"message": "denied"}, "error": "denied"})

    assert reader.error == "denied"
    assert progress.layers == 0
