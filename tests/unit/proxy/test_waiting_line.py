from collections import deque

from hypothesis import given, settings
from hypothesis import strategies as st

from scout_proxy.upstreams.waiting_line import WaitingLine


def filled(**waiters: int) -> WaitingLine[str]:
    """Fill a line, one key after the other; the waiters of key `a` are `a0`, `a1` and so on."""
    line: WaitingLine[str] = WaitingLine()
    for key_id, count in waiters.items():
        for index in range(count):
            line.add(key_id, f"{key_id}{index}")
    return line


def emptied(line: WaitingLine[str]) -> list[str]:
    taken = []
    while line:
        taken.append(line.take())
    return taken


def test_the_waiters_of_one_key_come_in_their_order() -> None:
    assert emptied(filled(a=4)) == ["a0", "a1", "a2", "a3"]


def test_a_key_with_many_waiters_does_not_starve_another_one() -> None:
    taken = emptied(filled(a=100, b=2))

    assert taken[:4] == ["a0", "b0", "a1", "b1"]
    assert taken[4:] == [f"a{index}" for index in range(2, 100)]


def test_three_keys_take_turns_also_when_one_comes_late() -> None:
    line = filled(a=3, b=3)
    taken = [line.take(), line.take()]
    line.add("c", "c0")

    assert taken + emptied(line) == ["a0", "b0", "a1", "b1", "c0", "a2", "b2"]


def test_a_waiter_leaves_from_wherever_it_stands() -> None:
    line = filled(a=3, b=1)
    line.discard("a", "a1")
    line.discard("b", "b0")
    line.discard("b", "nobody")
    line.discard("nobody", "a0")

    assert (list(line), emptied(line)) == (["a0", "a2"], ["a0", "a2"])


@given(
    steps=st.lists(st.tuples(st.sampled_from(["add", "take", "discard"]), st.sampled_from("abc"), st.integers(0, 9)))
)
@settings(derandomize=True, max_examples=100, deadline=None)
def test_a_line_is_first_come_first_served_for_each_key_whatever_happens(steps: list[tuple[str, str, int]]) -> None:
    line: WaitingLine[str] = WaitingLine()
    kept: dict[str, deque[str]] = {key_id: deque() for key_id in "abc"}
    for count, (what, key_id, place) in enumerate(steps):
        mine = kept[key_id]
        if what == "add":
            line.add(key_id, f"{key_id}{count}")
            mine.append(f"{key_id}{count}")
        elif what == "take" and line:
            taken = line.take()
            assert taken == kept[taken[0]].popleft()
        elif what == "discard" and place < len(mine):
            line.discard(key_id, mine[place])
            del mine[place]
        assert sorted(line) == sorted(waiter for waiters in kept.values() for waiter in waiters)
        assert bool(line) == any(kept.values())
