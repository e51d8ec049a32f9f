"""The store in memory by itself: its bounds in bytes, entries and age, and what it forgets first."""

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.fixed_upstreams import HandClock
from scout_proxy.cache.memory_store import MemoryStore
from scout_proxy.cache.stored_answers import StoredAnswer
from scout_proxy.route_table import Cache


class Kept:
    """A store with a clock of its own; what leaves it is in `evicted`."""

    def __init__(self, **bounds: float) -> None:
        self.clock = HandClock()
        self.evicted: list[str] = []
        self.store = MemoryStore(Cache.model_validate(bounds), on_evict=self.evicted.append, clock=self.clock)

    def put(self, key: bytes, *texts: str, most: int = 1, is_new: bool = True) -> None:
        answer = StoredAnswer(texts=texts, stored_at_s=self.clock(), generation_s=1)
        self.store.put(key, (answer,), most=most, is_new=is_new)

    def texts(self, key: bytes) -> list[str]:
        entry = self.store.get(key)
        return [one.answer.texts[0] for one in entry.answers] if entry else []

    def turns(self, key: bytes, count: int) -> list[str]:
        entry = self.store.get(key)
        assert entry is not None
        return [entry.next().answer.texts[0] for _ in range(count)]


def test_an_answer_is_found_by_its_key_and_has_the_beginning_of_its_body() -> None:
    kept = Kept()
    kept.put(b"k", "一", 'two "')
    entry = kept.store.get(b"k")

    assert entry is not None
    assert entry.next().beginning == '{"generated_texts":["一","two \\""],"parameters":'.encode()
    assert kept.store.get(b"other") is None


def test_the_least_recently_used_goes_first() -> None:
    kept = Kept(max_entries=3)
    for key in (b"a", b"b", b"c"):
        kept.put(key, "text")
    kept.store.get(b"a")
    kept.put(b"d", "text")

    assert [kept.texts(key) for key in (b"a", b"b", b"c", b"d")] == [["text"], [], ["text"], ["text"]]
    assert kept.evicted == ["size"]


def test_bytes_are_bounded() -> None:
    kept = Kept(max_bytes=100_000)
    for index in range(100):
        kept.put(b"%d" % index, "x" * 4000)
        assert kept.store.size_bytes <= 100_000
    assert 5 < len(kept.store) < 25
    assert len(kept.evicted) == 100 - len(kept.store)


def test_an_answer_larger_than_the_store_is_not_kept_and_drives_nothing_out() -> None:
    kept = Kept(max_bytes=10_000)
    kept.put(b"small", "text")
    kept.put(b"great", "x" * 10_000)

    assert (kept.texts(b"small"), kept.texts(b"great")) == (["text"], [])


def test_smaller_bounds_hold_at_once() -> None:
    kept = Kept()
    for index in range(10):
        kept.put(b"%d" % index, "text")
    kept.store.apply(Cache(max_entries=2))

    assert len(kept.store) == 2
    assert kept.texts(b"9") == ["text"]


def test_an_answer_is_kept_until_its_time_is_over() -> None:
    kept = Kept(ttl_s=10)
    kept.put(b"k", "text")
    kept.clock.now_s += 9.9
    assert kept.texts(b"k") == ["text"]
    kept.clock.now_s += 0.1

    assert kept.texts(b"k") == []
    assert (kept.evicted, len(kept.store), kept.store.size_bytes) == (["age"], 0, 0)


def test_a_newer_answer_replaces_the_older_one() -> None:
    kept = Kept()
    kept.put(b"k", "old")
    kept.clock.now_s += 1
    kept.put(b"k", "new")

    assert (kept.texts(b"k"), kept.evicted) == (["new"], [])


def test_as_many_different_answers_are_kept_as_are_wanted_and_served_in_turn() -> None:
    kept = Kept()
    for text in ("a", "b", "c", "d"):
        kept.clock.now_s += 1
        kept.put(b"k", text, most=3)

    assert kept.texts(b"k") == ["b", "c", "d"]
    assert sorted(kept.turns(b"k", 3)) == ["b", "c", "d"]
    assert kept.turns(b"k", 6) == kept.turns(b"k", 3) * 2


def test_answers_of_one_key_go_one_by_one_when_their_time_is_over() -> None:
    kept = Kept(ttl_s=10)
    kept.put(b"k", "a", most=2)
    kept.clock.now_s += 6
    kept.put(b"k", "b", most=2)
    kept.clock.now_s += 6

    assert (kept.texts(b"k"), kept.evicted) == (["b"], [])


def test_an_engine_that_says_the_same_again_and_again_is_believed() -> None:
    kept = Kept()
    complete = []
    for _ in range(4):
        kept.clock.now_s += 1
        kept.put(b"k", "same", most=3)
        entry = kept.store.get(b"k")
        complete.append(entry is not None and entry.is_complete)

    assert (complete, kept.texts(b"k")) == ([False, False, False, True], ["same"])


def test_the_same_answer_from_another_store_says_nothing_of_the_engine() -> None:
    kept = Kept()
    for _ in range(9):
        kept.put(b"k", "same", most=3, is_new=False)
    entry = kept.store.get(b"k")

    assert entry is not None
    assert not entry.is_complete


def test_a_body_is_known_for_as_long_as_its_answer() -> None:
    kept = Kept(ttl_s=10)
    kept.put(b"k", "text")
    kept.store.know_body(b"k", b"body", b"end")
    found = kept.store.get_by_body(b"body")
    assert found is not None
    assert (found[0].next().answer.texts, found[1]) == (("text",), b"end")
    kept.clock.now_s += 10

    assert kept.store.get_by_body(b"body") is None
    kept.put(b"k", "text")
    assert kept.store.get_by_body(b"body") is None


def test_a_body_that_is_asked_for_keeps_its_answer() -> None:
    kept = Kept(max_entries=2)
    kept.put(b"a", "text")
    kept.store.know_body(b"a", b"body", b"end")
    kept.put(b"b", "text")
    kept.store.get_by_body(b"body")
    kept.put(b"c", "text")

    assert (kept.texts(b"a"), kept.texts(b"b")) == (["text"], [])


@pytest.mark.parametrize("body", [b"x" * 16_385, b"fifth"])
def test_few_bodies_are_known_for_one_answer_and_no_great_ones(body: bytes) -> None:
    kept = Kept()
    kept.put(b"k", "text")
    if body == b"fifth":
        for index in range(4):
            kept.store.know_body(b"k", b"%d" % index, b"end")
    kept.store.know_body(b"k", body, b"end")

    assert kept.store.get_by_body(body) is None


def test_no_body_is_known_of_an_answer_that_is_gone() -> None:
    kept = Kept()
    kept.store.know_body(b"k", b"body", b"end")

    assert (kept.store.get_by_body(b"body"), kept.store.size_bytes) == (None, 0)


def test_bodies_are_forgotten_and_answers_stay() -> None:
    kept = Kept()
    kept.put(b"k", "text")
    before = kept.store.size_bytes
    kept.store.know_body(b"k", b"body", b"end")
    kept.store.forget_bodies()

    assert (kept.store.get_by_body(b"body"), kept.texts(b"k"), kept.store.size_bytes) == (None, ["text"], before)
    kept.store.know_body(b"k", b"body", b"end")
    assert kept.store.get_by_body(b"body") is not None


def test_everything_is_forgotten_at_once() -> None:
    kept = Kept()
    kept.put(b"k", "text")
    kept.store.know_body(b"k", b"body", b"end")
    kept.store.clear()

    assert (kept.texts(b"k"), kept.store.get_by_body(b"body"), kept.store.size_bytes) == ([], None, 0)
    assert kept.evicted == ["invalidated"]


_OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["put", "put", "know", "get", "ask", "age", "forget", "clear"]),
        st.integers(0, 5),
        st.integers(0, 3000),
    ),
    max_size=40,
)


@given(operations=_OPERATIONS)
@settings(derandomize=True, max_examples=100, deadline=None)
def test_what_is_counted_is_what_is_kept(operations: list[tuple[str, int, int]]) -> None:
    kept = Kept(max_entries=4, max_bytes=12_000, ttl_s=5)
    for what, which, size in operations:
        key, body = b"%d" % which, b"body %d" % which
        match what:
            case "put":
                kept.put(key, "x" * size, "y" * which, most=2)
            case "know":
                kept.store.know_body(key, body + b"." * size, b"end")
            case "get":
                kept.store.get(key)
            case "ask":
                kept.store.get_by_body(body)
            case "age":
                kept.clock.now_s += which
            case "forget":
                kept.store.forget_bodies()
            case _:
                kept.store.clear()
        entries = kept.store._entries.values()
        assert kept.store.size_bytes == sum(entry.size_bytes for entry in entries) <= 12_000
        assert len(kept.store) <= 4
        assert set(kept.store._bodies) == {known for entry in entries for known in entry.bodies}


@pytest.mark.parametrize("text", ["x" * 300, "今天天气很好" * 50, "mostly plain " * 25 + "🙂"])
def test_the_bytes_that_are_counted_are_those_that_are_taken(text: str) -> None:
    kept = Kept()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for index in range(500):
            key = index.to_bytes(32)
            kept.put(key, f"{text}{index}")
            kept.store.know_body(key, b"body %d" % index, b"end")
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()

    assert 0.6 * kept.store.size_bytes < taken < 1.1 * kept.store.size_bytes
