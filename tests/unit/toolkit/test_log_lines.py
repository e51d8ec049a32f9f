from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scout_deploy.containers.log_lines import MAX_LINE_BYTES, LineSplitter, LogLine, parse_line, parse_log

RECORDED = Path(__file__).parents[2] / "data/docker_answers/log.bin"
STAMP = b"2026-11-24T12:45:12.186259809Z "
AT_S = 1795524312.186259809
# What logs are made of, so that a generated one has all of it.
PARTS = st.sampled_from(
    [STAMP, b"\n", b"\r\n", b"\r", b"\x1b[32m", b"\x1b[0m", "ü€".encode(), b"\xff", b" ", b"word", b"", b"x" * 20_000]
)


def fed(chunks: list[bytes]) -> list[LogLine]:
    splitter = LineSplitter()
    return [*(line for chunk in chunks for line in splitter.feed(chunk)), *splitter.end()]


@given(parts=st.lists(PARTS | st.binary(max_size=5), max_size=30), data=st.data())
def test_the_lines_are_the_same_however_the_log_is_cut(parts: list[bytes], data: st.DataObject) -> None:
    log = b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(log)), max_size=10)))

    chunks = [log[start:end] for start, end in zip([0, *cuts], [*cuts, len(log)], strict=True)]

    assert fed(chunks) == parse_log(log)


@given(log=st.lists(PARTS, max_size=12).map(b"".join).map(lambda log: log[:200]))
@example(log=STAMP + b"\xe2\x82\xac\r\n" + STAMP + b"end")
def test_a_log_that_comes_byte_by_byte_has_the_same_lines(log: bytes) -> None:
    assert fed([log[at : at + 1] for at in range(len(log))]) == parse_log(log)


@pytest.mark.parametrize("length", [MAX_LINE_BYTES - 1, MAX_LINE_BYTES, MAX_LINE_BYTES + 1, 3 * MAX_LINE_BYTES])
def test_a_line_without_an_end_takes_a_bounded_amount_of_memory_and_loses_nothing(length: int) -> None:
    log = b"a" * length + b"\nshort"

    cut = fed([log[at : at + 1000] for at in range(0, len(log), 1000)])

    assert cut == parse_log(log)
    assert max(len(line.text) for line in cut) <= MAX_LINE_BYTES
    assert "".join(line.text for line in cut) == "a" * length + "short"


def test_a_log_of_a_real_container() -> None:
    long, *lines = parse_log(RECORDED.read_bytes())

    # Docker kept it in pieces of 16 KiB, each behind a time stamp of its own.
    assert long.text == "a" * 40_000 + "€" * 3_000
    assert [line.text for line in lines] == ["green", "x\rprogress 10%\rprogress 100%", "�� bad", "no end"]
    assert all(line.at_s is not None for line in lines)


@pytest.mark.parametrize(
    ("raw", "text", "at_s"),
    [
        (STAMP + b"words here", "words here", AT_S),
        (STAMP.rstrip(), "", AT_S),
        (STAMP, "", AT_S),
        (b"", "", None),
        (b"words here", "words here", None),
        (b"2026-13-45T99:00:00Z x", "2026-13-45T99:00:00Z x", None),
        (b"TtZ x", "TtZ x", None),
        (STAMP + b"  indented  ", "  indented  ", AT_S),
        (STAMP + b"\x1b[1;31mERROR\x1b[0m shard\x1b[K", "ERROR shard", AT_S),
        (STAMP + b"caf\xc3 \xe2\x82", "caf� �", AT_S),
        (STAMP + b"windows\r", "windows", AT_S),
        (STAMP + STAMP + b"the engine's own time", f"{STAMP.decode()}the engine's own time", AT_S),
    ],
)
def test_a_line_is_parted_from_its_time(raw: bytes, text: str, at_s: float | None) -> None:
    line = parse_line(raw)

    assert line.text == text
    assert line.at_s == (None if at_s is None else pytest.approx(at_s, abs=1e-6))


def test_empty_lines_are_lines_and_an_empty_log_has_none() -> None:
    assert [line.text for line in parse_log(b"a\n\nb\n")] == ["a", "", "b"]
    assert parse_log(b"") == []
    assert LineSplitter().end() == []


def test_what_was_left_at_the_end_is_told_once() -> None:
    splitter = LineSplitter()
    splitter.feed(b"half")

    assert [line.text for line in splitter.end()] == ["half"]
    assert splitter.end() == []
