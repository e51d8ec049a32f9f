"""The response cache by itself: what has which key, what is stored, and what a new table makes of it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pydantic_core import to_json

from fakes.fixed_upstreams import HandClock
from fakes.running_proxy import route_table
from scout_proxy.cache.answer_cache import AnswerCache, CacheOutcome, answers_identity
from scout_proxy.cache.cache_directives import NONE, CacheDirectives
from scout_proxy.cache.flight import Flight, Texts
from scout_proxy.cache.memory_store import MemoryStore
from scout_proxy.cache.stored_answers import StoredAnswer, StoreStatus
from scout_proxy.errors import GenerationFailedError
from scout_proxy.generate.contract import parse_generate_request
from scout_proxy.route_table import (
    Cache,
    CachePolicy,
    CacheScope,
    Limits,
    PromptFormat,
    Serving,
    Template,
    Upstream,
)


class Answered:
    """A cache and the requests that are put to it; a generation's text says how many there were before."""

    def __init__(self, **settings: Any) -> None:
        self.clock = HandClock()
        self.generated = 0
        self.cache = AnswerCache(MemoryStore(Cache(), clock=self.clock), clock=self.clock)
        self.table = route_table(cache=Cache(**settings))
        self.cache.apply(self.table)

    def change(self, **parts: Any) -> None:
        self.table = self.table.model_copy(update=parts)
        self.cache.apply(self.table)

    async def ask(self, key_id: str = "", said: CacheDirectives = NONE, **fields: object) -> tuple[str, str]:
        """Return what the cache did, and the text."""
        body = to_json({"prompt": "p", **fields})
        request = parse_generate_request(body, max_num_return_sequences=8)
        plan = self.cache.plan(request, to_json(request.echo()), said, key_id)
        if (found := await self.cache.find(plan)) is not None:
            return CacheOutcome.HIT, found.answer.texts[0]
        flight, outcome = self.cache.fly(plan, self._generate)
        texts = await _landed(flight)
        self.cache.know_body(plan, body, b"end", key_id)
        return outcome, texts[0]

    def knows(self, key_id: str = "", **fields: object) -> bool:
        return self.cache.find_by_body(to_json({"prompt": "p", **fields}), key_id) is not None

    async def _generate(self, _: Flight) -> Texts:
        self.generated += 1
        return (f"text {self.generated}",)


async def _landed(flight: Flight) -> Texts:
    class Waiting:
        def on_pieces(self) -> None:
            raise AssertionError("nothing is streamed here")

        def on_end(self, _: Flight) -> None:
            done.set()

    done = asyncio.Event()
    flight.follow(Waiting())
    await done.wait()
    if flight.failure is not None:
        raise flight.failure
    return flight.texts or ()


def run(story: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(10):
            await story()

    asyncio.run(bounded())


_CHANGES: dict[str, dict[str, Any]] = {
    "model": {"serving": Serving(model_id="other/model", engine="fake")},
    "revision": {"serving": Serving(model_id="fake/model", engine="fake", revision="abc")},
    "engine": {"serving": Serving(model_id="fake/model", engine="other")},
    "engine version": {"serving": Serving(model_id="fake/model", engine="fake", engine_version="2")},
    "quantization": {"serving": Serving(model_id="fake/model", engine="fake", quantization="4bit")},
    "dtype": {"serving": Serving(model_id="fake/model", engine="fake", dtype="bfloat16")},
    "kv cache": {"serving": Serving(model_id="fake/model", engine="fake", kv_cache_dtype="fp8")},
    "context": {"serving": Serving(model_id="fake/model", engine="fake", context_length=4096)},
    "prompt format": {"template": Template(prompt_format=PromptFormat.RAW)},
    "chat template": {"template": Template(chat_template="{{ messages }}")},
    "special tokens": {"template": Template(special_tokens=("<x>",))},
}


@pytest.mark.parametrize("change", _CHANGES)
def test_an_answer_is_not_given_for_what_did_not_answer_it(change: str) -> None:
    async def story() -> None:
        answered = Answered()
        before = answered.table
        assert await answered.ask() == ("MISS", "text 1")
        answered.change(**_CHANGES[change])
        assert not answered.knows()
        assert await answered.ask() == ("MISS", "text 2")
        assert await answered.ask() == ("HIT", "text 2")
        answered.cache.apply(before)
        assert await answered.ask() == ("MISS", "text 3")

    run(story)


@pytest.mark.parametrize(
    "change",
    [
        {"upstreams": (Upstream(id="other", url="http://127.0.0.1:1"),)},
        {"deployment": "other"},
        {"revision": 99},
        {"cache": Cache(max_entries=5, ttl_s=100)},
    ],
)
def test_what_changes_no_answer_keeps_them(change: dict[str, Any]) -> None:
    async def story() -> None:
        answered = Answered()
        await answered.ask()
        answered.change(**change)
        assert answered.knows()
        assert await answered.ask() == ("HIT", "text 1")

    run(story)


@pytest.mark.parametrize("changes", [["model"], ["model", "back"], ["policy"], ["scope"], ["off", "on"]])
def test_an_answer_that_comes_after_a_change_is_not_stored(changes: list[str]) -> None:
    steps: dict[str, dict[str, Any]] = {
        "model": _CHANGES["model"],
        "back": {"serving": Serving(model_id="fake/model", engine="fake")},
        "policy": {"cache": Cache(policy=CachePolicy.DETERMINISTIC)},
        "scope": {"cache": Cache(scope=CacheScope.KEY)},
        "off": {"cache": Cache(policy=CachePolicy.OFF)},
        "on": {"cache": Cache()},
    }

    async def story() -> None:
        answered = Answered()
        asking = asyncio.create_task(answered.ask())
        await asyncio.sleep(0)
        for change in changes:
            answered.change(**steps[change])
        assert await asking == ("MISS", "text 1")
        assert (len(answered.cache.memory), answered.knows()) == (0, False)

    run(story)


def test_a_body_is_known_no_more_where_its_answer_may_not_be_given_any_longer() -> None:
    async def story() -> None:
        answered = Answered()
        await answered.ask()
        assert answered.knows()
        answered.change(cache=Cache(policy=CachePolicy.DETERMINISTIC))
        assert not answered.knows()
        assert await answered.ask() == ("BYPASS", "text 2")
        assert not answered.knows()

    run(story)


def test_a_body_is_validated_again_when_limits_change() -> None:
    async def story() -> None:
        answered = Answered()
        await answered.ask()
        answered.change(limits=Limits(max_num_return_sequences=1))
        assert not answered.knows()
        assert await answered.ask() == ("HIT", "text 1")

    run(story)


def test_more_samples_are_wanted_at_once() -> None:
    async def story() -> None:
        answered = Answered()
        await answered.ask()
        answered.change(cache=Cache(samples=2))
        assert not answered.knows()
        assert [(await answered.ask())[0] for _ in range(4)] == ["MISS", "MISS", "HIT", "HIT"]

    run(story)


def test_an_answer_is_as_old_as_it_is() -> None:
    async def story() -> None:
        answered = Answered(ttl_s=10)
        await answered.ask()
        for passed_s, age_s in [(0.0, 0), (0.9, 0), (0.2, 1), (8.0, 9)]:
            answered.clock.now_s += passed_s
            found = answered.cache.find_by_body(to_json({"prompt": "p"}), "")
            assert found is not None
            assert answered.cache.age_s(found[0].answer) == age_s
        answered.clock.now_s += 0.9
        assert not answered.knows()
        assert await answered.ask() == ("MISS", "text 2")

    run(story)


@pytest.mark.parametrize(
    ("max_age_s", "passed_s", "outcome"), [(0, 0.1, "MISS"), (1, 0.9, "HIT"), (1, 1.1, "MISS"), (100, 99, "HIT")]
)
def test_a_client_says_how_old_an_answer_may_be(max_age_s: int, passed_s: float, outcome: str) -> None:
    async def story() -> None:
        answered = Answered()
        await answered.ask()
        answered.clock.now_s += passed_s

        assert (await answered.ask(said=CacheDirectives(max_age_s=max_age_s)))[0] == outcome

    run(story)


def test_a_failure_is_not_stored_and_the_next_request_is_generated_anew() -> None:
    async def story() -> None:
        answered = Answered()
        request = parse_generate_request(b'{"prompt": "p"}', max_num_return_sequences=8)
        plan = answered.cache.plan(request, to_json(request.echo()), NONE, "")

        async def fail(_: Flight) -> Texts:
            raise GenerationFailedError("out of memory")

        with pytest.raises(GenerationFailedError):
            await _landed(answered.cache.fly(plan, fail)[0])
        assert await answered.ask() == ("MISS", "text 1")

    run(story)


class OtherProxies:
    """A shared store in which others have stored answers."""

    def __init__(self, *texts: str, on_get: Callable[[], None] = lambda: None) -> None:
        self.texts = texts
        self.asked: list[bytes] = []
        self.stored: list[tuple[bytes, Texts]] = []
        self._on_get = on_get

    async def get(self, key: bytes) -> tuple[StoredAnswer, ...]:
        self.asked.append(key)
        await asyncio.sleep(0)
        self._on_get()
        return tuple(StoredAnswer(texts=(text,), stored_at_s=999, generation_s=2) for text in self.texts)

    def put(self, key: bytes, answer: StoredAnswer) -> None:
        self.stored.append((key, answer.texts))

    def status(self) -> StoreStatus:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError


def test_what_another_proxy_stored_is_a_hit_and_asked_for_once() -> None:
    async def story() -> None:
        answered = Answered()
        others = answered.cache.shared = OtherProxies("theirs")
        assert await answered.ask() == ("HIT", "theirs")
        assert await answered.ask() == ("HIT", "theirs")
        assert (len(others.asked), others.stored) == (1, [])

    run(story)


def test_what_is_generated_is_given_to_other_proxies_under_the_key_that_they_ask_for() -> None:
    async def story() -> None:
        answered = Answered()
        others = answered.cache.shared = OtherProxies()
        await answered.ask()
        assert others.stored == [(others.asked[0], ("text 1",))]

    run(story)


@pytest.mark.parametrize("said", [CacheDirectives(no_cache=True), CacheDirectives(no_store=True)])
def test_other_proxies_are_not_asked_where_a_fresh_answer_is_wanted(said: CacheDirectives) -> None:
    async def story() -> None:
        answered = Answered()
        others = answered.cache.shared = OtherProxies("theirs")
        assert await answered.ask(said=said) == ("BYPASS", "text 1")
        assert others.asked == []
        assert len(others.stored) == (1 if said.no_cache else 0)

    run(story)


def test_an_answer_of_the_old_model_that_comes_from_another_proxy_late_is_not_kept() -> None:
    async def story() -> None:
        answered = Answered()
        answered.cache.shared = OtherProxies("theirs", on_get=lambda: answered.change(**_CHANGES["model"]))
        assert await answered.ask() == ("MISS", "text 1")
        assert len(answered.cache.memory) == 0

    run(story)


def test_each_part_of_what_answers_makes_another_identity() -> None:
    table = route_table()
    tables = [table, *[table.model_copy(update=change) for change in _CHANGES.values()]]

    assert len({answers_identity(one) for one in tables}) == 1 + len(_CHANGES)
