"""Getting in: passwords, users, TLS, and what listens at the address but is no Redis. No secret is ever shown."""

import asyncio
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.odd_server import odd_server
from fakes.open_store import KEY, answer, open_store, seen, texts, written
from fakes.redis_server import RedisServer, redis_server
from scout_proxy.cache.redis_store import RedisStore
from scout_proxy.cache.store_loading import StoreMissingError, load_redis_store
from scout_proxy.cache.stored_answers import StoreState, StoreStatus
from scout_proxy.logs import EventFormatter, LogFormat

HIDDEN = "hunter2-and-more"
WRONG = "not-the-right-one"


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server(password=HIDDEN) as server:
        yield server


def with_password(server: RedisServer, password: str, user: str = "") -> str:
    return server.url.replace("redis://", f"redis://{user}:{password}@")


async def stores(url: str) -> None:
    async with open_store(url) as store:
        store.put(KEY, answer("text"))
        await written(store)

        assert texts(await store.get(KEY)) == ["text"]


async def refusal(url: str, **options: float) -> StoreStatus:
    async with open_store(url, is_known=False, **options) as store:
        store.put(KEY, answer("text"))

        assert await store.get(KEY) == ()
        return await seen(store, StoreState.UNAVAILABLE)


def shown(caplog: pytest.LogCaptureFixture, *things: object) -> str:
    """Return everything that anybody can see: log lines in both forms, and these things."""
    formatters = [EventFormatter(form) for form in LogFormat]
    lines = [formatter.format(record) for record in caplog.records for formatter in formatters]
    return "\n".join([*lines, *map(repr, things), *map(str, things)])


def test_a_password_lets_in(server: RedisServer) -> None:
    asyncio.run(stores(with_password(server, HIDDEN)))


def test_a_user_with_a_password_gets_in(server: RedisServer) -> None:
    server.ask("ACL", "SETUSER", "cache", "on", ">p@ss/w#", "~scout:*", "+@all")

    asyncio.run(stores(with_password(server, "p%40ss%2Fw%23", user="cache")))


@pytest.mark.parametrize("password", [WRONG, ""])
def test_a_wrong_password_is_said_and_not_shown(
    server: RedisServer, password: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        status = asyncio.run(refusal(with_password(server, password) if password else server.url))

    assert "it refuses the user or the password" in str(status.reason)
    assert WRONG not in shown(caplog, status)


def test_a_password_that_the_server_has_not_is_said_and_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    with redis_server() as server, caplog.at_level(logging.DEBUG):
        status = asyncio.run(refusal(with_password(server, WRONG)))

    assert "it refuses the user or the password" in str(status.reason)
    assert WRONG not in shown(caplog, status)


def test_a_server_that_repeats_the_password_gives_nothing_away(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> StoreStatus:
        repeated = f"-ERR unknown command 'AUTH', with args beginning with: '{HIDDEN}' \r\n"
        async with odd_server(repeated.encode()) as address:
            return await refusal(f"redis://:{HIDDEN}@{address}")

    with caplog.at_level(logging.DEBUG):
        status = asyncio.run(run())

    assert "unknown command 'AUTH'" in str(status.reason)
    assert HIDDEN not in shown(caplog, status)


def test_nothing_of_a_store_shows_its_password(server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> list[object]:
        async with open_store(with_password(server, HIDDEN)) as store:
            return [store, store.status(), *asyncio.all_tasks(), vars(store)]

    with caplog.at_level(logging.DEBUG):
        things = asyncio.run(run())

    assert HIDDEN not in shown(caplog, *things)


def test_a_password_that_changes_is_seen_and_the_old_one_taken_back_too(server: RedisServer) -> None:
    async def run() -> None:
        async with open_store(with_password(server, HIDDEN), idle_probe_s=0.01) as store:
            with server.client() as operator:
                operator.config_set("requirepass", WRONG)
                operator.client_kill_filter(_type="normal", skipme=True)
                await seen(store, StoreState.UNAVAILABLE)
                operator.config_set("requirepass", HIDDEN)
                await seen(store, StoreState.OK)

    asyncio.run(run())


def test_a_user_that_may_only_read_gives_and_takes_nothing(server: RedisServer) -> None:
    server.ask("ACL", "SETUSER", "reader", "on", ">reading", "~scout:*", "+getrange", "+client")

    async def run() -> None:
        await stores(with_password(server, HIDDEN))
        async with open_store(with_password(server, "reading", user="reader")) as store:
            status = await seen(store, StoreState.READ_ONLY)

            assert "takes no answers: this user may not do what the cache needs" in str(status.reason)
            assert texts(await store.get(KEY)) == ["text"]

    asyncio.run(run())


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `cert.pem` of 127.0.0.1 and its `key.pem`, and a stranger's `other.pem`."""
    folder = tmp_path_factory.mktemp("tls")
    for name in ("cert", "other"):
        key = folder / ("key.pem" if name == "cert" else "other-key.pem")
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(key)]
        subject = ["-days", "2", "-subj", "/CN=redis", "-addext", "subjectAltName=IP:127.0.0.1"]
        out = ["-out", str(folder / f"{name}.pem")]
        subprocess.run(["openssl", "req", "-x509", *curve, *subject, *out], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def tls_server(certificate: Path) -> Iterator[str]:
    options = [f"tls-cert-file {certificate}/cert.pem", f"tls-key-file {certificate}/key.pem", "tls-auth-clients no"]
    with redis_server(*options, password=HIDDEN, has_tls=True) as server:
        yield f"rediss://:{HIDDEN}@127.0.0.1:{server.port}"


def test_a_server_with_tls_and_a_certificate_that_is_trusted(tls_server: str, certificate: Path) -> None:
    asyncio.run(stores(f"{tls_server}?ssl_ca_certs={certificate}/cert.pem"))
    asyncio.run(stores(f"{tls_server}?ssl_cert_reqs=none"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("", "certificate verify failed"),
        ("?ssl_ca_certs={folder}/other.pem", "certificate verify failed"),
        ("?ssl_ca_certs={folder}/missing.pem", "No such file"),
    ],
)
def test_a_server_whose_certificate_is_not_trusted_gets_nothing(
    tls_server: str, certificate: Path, options: str, words: str
) -> None:
    async def run() -> None:
        async with open_store(tls_server + options.format(folder=certificate), is_known=False) as store:
            store.put(KEY, answer("text"))

            # Not at the first words: it can be puts alone that are known to fail by then.
            status = await seen(store, StoreState.UNAVAILABLE)

            assert words in str(status.reason)
            assert await store.get(KEY) == ()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("words", "closes"),
    [
        (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", True),
        (b"", True),
        (b":1\r\n", False),
        (b"*-1\r\n", False),
        (b"*1\r\n:1\r\n", False),
        (b"$99999999999\r\nxxx", False),
        (b"$x\r\n", False),
        (b"-\r\n", False),
        (b"-MOVED nonsense\r\n", False),
        (b"\xff\x00\xff\r\n", False),
        (b"x" * 1_000_000, False),
    ],
)
def test_what_is_no_redis_is_trouble_and_no_error(words: bytes, closes: bool) -> None:
    async def run() -> None:
        async with odd_server(words, closes=closes) as address:
            # Some of these say nothing more, and are waited for.
            status = await refusal(f"redis://{address}", connect_timeout_s=1.0)

            assert str(status.reason).startswith(f"{address}: ")
            assert len(str(status.reason)) < 400

    asyncio.run(run())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (b"-MOVED 3999 127.0.0.1:6381\r\n", "it is a node of a Redis Cluster"),
        (b"-CLUSTERDOWN Hash slot not served\r\n", "it does not serve all of its data"),
        (b"-MISCONF Redis is configured to save RDB snapshots, but it's unable to persist\r\n", "MISCONF Redis is"),
    ],
)
def test_what_a_server_refuses_is_said(words: bytes, said: str) -> None:
    async def run() -> None:
        async with odd_server(words) as address:
            assert said in str((await refusal(f"redis://{address}")).reason)

    asyncio.run(run())


def test_a_wrong_url_is_refused_at_once() -> None:
    async def run() -> None:
        RedisStore(f"redis://:{HIDDEN}@cache:port", ttl_s=60, samples=1)

    with pytest.raises(ValueError, match="has no port") as caught:
        asyncio.run(run())

    assert HIDDEN not in str(caught.value)


def test_the_store_is_loaded_when_it_is_wanted(server: RedisServer) -> None:
    async def run() -> None:
        store = await load_redis_store(with_password(server, HIDDEN), ttl_s=60, samples=1)
        await store.close()

    asyncio.run(run())


def test_a_missing_extra_is_one_line_that_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "redis" or "redis_" in name]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "redis", None)

    with pytest.raises(StoreMissingError, match=r"pip install 'scout-deploy\[redis\]'") as caught:
        asyncio.run(load_redis_store("redis://cache", ttl_s=60, samples=1))

    assert "\n" not in str(caught.value)
