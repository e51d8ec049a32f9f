"""Two proxies that share their cache through a real Redis, which comes and goes under load."""

import itertools
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from fakes.fake_engine import Counters, FakeEngine, fake_engine
from fakes.redis_server import RedisServer, redis_server
from fakes.running_proxy import RunningProxy, load_on, route_table, running_proxy, wait_until
from scout_proxy.cache.answer_form import HEAD
from scout_proxy.cache.redis_store import RedisStore
from scout_proxy.route_table import Cache, Serving

URL_FILE = "redis.url"
HIDDEN = "hunter2-and-more"
# A rest of the breaker, and what a busy machine adds.
WAIT_S = 60.0


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each get seconds: a machine that is busy is late for one, which is a miss."""
    defaults = RedisStore.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "timeout_s", 30.0)


@pytest.fixture(scope="module")
def engine() -> Iterator[FakeEngine]:
    with fake_engine() as engine:
        yield engine


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with redis_server(password=HIDDEN) as server:
        yield server


@contextmanager
def proxy_on(
    redis: RedisServer, engine: FakeEngine, folder: Path, *, url: str | None = None, **changes: Any
) -> Iterator[RunningProxy]:
    """Run a proxy whose table names this Redis; it takes requests when the block begins."""
    folder.mkdir()
    (folder / URL_FILE).write_text((url or redis.url.replace("://", f"://:{HIDDEN}@")) + "\n")
    table = route_table(engine.url, **{"cache": Cache(redis_url_file=URL_FILE), **changes})
    with running_proxy(folder / "routes.json", table) as proxy:
        proxy.wait_for("active")
        yield proxy


@pytest.fixture
def proxies(redis: RedisServer, engine: FakeEngine, tmp_path: Path) -> Iterator[tuple[RunningProxy, RunningProxy]]:
    with ExitStack() as stack:
        one, other = (stack.enter_context(proxy_on(redis, engine, tmp_path / name)) for name in ("one", "other"))
        wait_until_shared(one, other)
        wait_until_reading(redis, 2)
        engine.seen = Counters()
        yield one, other


def wait_until_shared(*proxies: RunningProxy, state: str = "ok") -> None:
    """Wait until the proxies' own words are that their store is in this state."""
    wait_until(
        lambda: all(shared(proxy)["state"] == state for proxy in proxies), f"the shared cache is {state}", WAIT_S
    )


def wait_until_reading(redis: RedisServer, proxies: int) -> None:
    """Wait until so many proxies have asked Redis for a value; before, what one of them is asked for is a miss."""
    wait_until(
        lambda: redis.ask("CLIENT", "LIST").count(b" cmd=getrange ") == proxies, f"{proxies} proxies read", WAIT_S
    )


def shared(proxy: RunningProxy) -> Any:
    return proxy.status()["shared_cache"]


def wait_until_written(proxy: RunningProxy) -> None:
    wait_until(lambda: shared(proxy)["backlog"] == 0, "what was generated is written")


@pytest.mark.usefixtures("patient")
def test_the_second_proxy_hits_what_the_first_stored(
    proxies: tuple[RunningProxy, RunningProxy], engine: FakeEngine
) -> None:
    one, other = proxies
    first = one.generate(num_return_sequences=2)
    wait_until_written(one)
    second = other.generate(num_return_sequences=2)

    assert [answer.headers["X-Cache"] for answer in (first, second)] == ["MISS", "HIT"]
    assert first.content == second.content
    assert len(engine.seen.generations) == 2
    assert (shared(other)["hits"], shared(other)["misses"]) == (1, 0)


def test_another_model_or_engine_hits_nothing(redis: RedisServer, engine: FakeEngine, tmp_path: Path) -> None:
    servings = [
        Serving(model_id="fake/model", engine="fake"),
        Serving(model_id="fake/other", engine="fake"),
        Serving(model_id="fake/model", engine="fake", revision="2"),
        Serving(model_id="fake/model", engine="fake", quantization="4bit"),
        Serving(model_id="fake/model", engine="other"),
    ]
    said = []
    for index, serving in enumerate(servings):
        with proxy_on(redis, engine, tmp_path / str(index), serving=serving) as proxy:
            wait_until_shared(proxy)
            said.append(proxy.generate().headers["X-Cache"])
            wait_until_written(proxy)

    assert said == ["MISS"] * 5


@pytest.mark.usefixtures("patient")
def test_an_answer_outlives_the_proxy_that_stored_it(redis: RedisServer, engine: FakeEngine, tmp_path: Path) -> None:
    with proxy_on(redis, engine, tmp_path / "before") as proxy:
        wait_until_shared(proxy)
        before = proxy.generate()
        wait_until_written(proxy)
    wait_until_reading(redis, 0)
    with proxy_on(redis, engine, tmp_path / "after") as proxy:
        wait_until_shared(proxy)
        wait_until_reading(redis, 1)
        after = proxy.generate()

    assert (before.headers["X-Cache"], after.headers["X-Cache"]) == ("MISS", "HIT")
    assert int(after.headers["Age"]) >= 0


def answers_in(redis: RedisServer) -> set[bytes]:
    """Return the keys of answers; that of the probe comes and goes."""
    return {key for key in redis.ask("KEYS", "scout:answers:v1:????*") if b"probe" not in key}


FOREIGN: dict[str, tuple[Any, ...]] = {
    "a list": ("RPUSH", b"x"),
    "a hash": ("HSET", b"x", b"y"),
    "a stream": ("XADD", b"*", b"x", b"y"),
    "bytes": ("SET", bytes(range(256))),
    "another form": ("SET", b"scout-answers/0\n[]\n"),
    "half an answer": ("SET", HEAD + b"0" * 32 + b' {"at":%d,"took":1,"te' % time.time()),
    "too many texts": ("SET", HEAD + b"0" * 32 + b' {"at":%d,"took":1,"texts":["a","b"]}\n' % time.time()),
    "no text": ("SET", HEAD + b"0" * 32 + b' {"at":%d,"took":1,"texts":[]}\n' % time.time()),
    "something huge": ("SETRANGE", 50_000_000, b"x"),
}


@pytest.mark.usefixtures("patient")
def test_foreign_data_under_our_keys_is_a_miss_and_replaced(
    proxies: tuple[RunningProxy, RunningProxy], redis: RedisServer
) -> None:
    one, other = proxies
    for what, (command, *data) in FOREIGN.items():
        known = answers_in(redis)
        one.generate(prompt=what)
        wait_until_written(one)
        (key,) = answers_in(redis) - known
        redis.ask("DEL", key)
        redis.ask(command, key, *data)

        answer = other.generate(prompt=what)
        wait_until_written(other)

        assert (answer.status_code, answer.headers["X-Cache"], what) == (200, "MISS", what)
        assert len(answer.json()["generated_texts"]) == 1
        assert redis.ask("GET", key).startswith(HEAD)
        assert redis.ask("GET", key).count(b"\n") == 2
    assert shared(other)["state"] == "ok"


def test_a_redis_that_is_killed_and_started_under_load_fails_no_request(
    proxies: tuple[RunningProxy, RunningProxy], redis: RedisServer
) -> None:
    numbers = itertools.count()

    def prompt() -> str:
        # New ones all the time, each by both proxies: what a proxy has in memory it does not ask Redis for.
        return f"prompt {next(numbers) // 2}"

    with load_on(proxies[0], clients=3, prompt=prompt) as one, load_on(proxies[1], clients=3, prompt=prompt) as other:
        for _ in range(2):
            one.go_on(20)
            other.go_on(20)
            redis.kill()
            wait_until_shared(*proxies, state="unavailable")
            one.go_on(20)
            redis.start()
            wait_until_shared(*proxies)

    assert set(one.statuses) | set(other.statuses) == {200}


def test_a_redis_that_hangs_keeps_no_request_waiting(
    proxies: tuple[RunningProxy, RunningProxy], redis: RedisServer
) -> None:
    numbers = itertools.count()
    with load_on(proxies[0], clients=3, prompt=lambda: f"prompt {next(numbers)}") as load:
        load.go_on(20)
        redis.pause()
        wait_until_shared(proxies[0], state="unavailable")
        load.go_on(50)
        redis.resume()
        wait_until_shared(proxies[0])

    assert set(load.statuses) == {200}


@pytest.mark.usefixtures("patient")
def test_a_redis_that_is_full_is_seen_and_fails_nothing(
    proxies: tuple[RunningProxy, RunningProxy], redis: RedisServer
) -> None:
    proxies[0].generate(prompt="before")
    wait_until_written(proxies[0])
    redis.set_limit("maxmemory", 1)
    said = [proxies[0].generate(prompt=f"prompt {index}").status_code for index in range(10)]
    wait_until_shared(proxies[0], state="read_only")

    assert said == [200] * 10
    assert "it is full" in shared(proxies[0])["reason"]
    assert proxies[1].generate(prompt="before").headers["X-Cache"] == "HIT"


def test_the_state_of_redis_is_measured(proxies: tuple[RunningProxy, RunningProxy], redis: RedisServer) -> None:
    up = proxies[0].samples()["scout_proxy_redis_up",]
    redis.kill()
    proxies[0].generate()
    wait_until_shared(proxies[0], state="unavailable")

    assert (up, proxies[0].samples()["scout_proxy_redis_up",]) == (1, 0)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1", "the Redis URL must begin with redis://"),
        (f"redis://:{HIDDEN}@127.0.0.1:port", "has no port"),
        (f"redis://:not-{HIDDEN}@127.0.0.1:1", "127.0.0.1:1: "),
    ],
)
def test_a_redis_that_cannot_be_used_is_said_without_its_password(
    redis: RedisServer, engine: FakeEngine, tmp_path: Path, url: str, words: str
) -> None:
    with proxy_on(redis, engine, tmp_path / "proxy", url=url) as proxy:
        wait_until(lambda: words in str(shared(proxy)["reason"]), f"it says: {words}")

        assert HIDDEN not in proxy.get("/status").text
        assert proxy.generate().status_code == 200


@pytest.mark.usefixtures("patient")
def test_a_table_can_name_another_store_or_none(proxies: tuple[RunningProxy, RunningProxy], redis: RedisServer) -> None:
    proxy = proxies[0]
    proxy.configure(cache=Cache(redis_url_file="missing.url"))
    wait_until(lambda: "cannot be read" in str(shared(proxy)["reason"]), "it says why")
    missing = proxy.generate(prompt="while it is missing").status_code
    proxy.configure(cache=Cache())
    none = shared(proxy)
    proxy.configure(cache=Cache(redis_url_file=URL_FILE, ttl_s=60))
    wait_until_shared(proxy)
    proxy.generate(prompt="again")
    wait_until_written(proxy)
    left_s = [redis.ask("TTL", key) for key in answers_in(redis)]

    assert (missing, none) == (200, None)
    assert left_s
    assert max(left_s) <= 60
