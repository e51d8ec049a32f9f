"""API keys over a real deployment of the embedded engine: made, needed, changed as it runs, and never shown."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from fakes.command_line import CommandLine, command_line
from fakes.redis_server import redis_server
from fakes.running_proxy import wait_until

REDIS_WORD = "a-word-that-redis-asks-for"


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """A deployment with a file of keys that has Alice's."""
    with command_line(tmp_path_factory.mktemp("keys")) as empty:
        new_key(empty, "alice")
        (empty.home / "mine.yaml").write_text("extends: embedded\nproxy:\n  keys: {file: keys}\n", encoding="utf-8")
        empty.up("--profile", "./mine.yaml")
        yield empty


def new_key(cli: CommandLine, name: str, *limits: str) -> str:
    made = cli.run("keys", "new", name, "--file", "keys", *limits)
    assert made.returncode == 0, made.stderr
    return made.stdout.split()[1]


def key_of(cli: CommandLine, name: str) -> str:
    lines = (cli.home / "keys").read_text(encoding="utf-8").splitlines()
    return next(line.split()[1] for line in lines if line.startswith(f"{name}:"))


def generate(cli: CommandLine, key: str | None, prompt: str = "p") -> requests.Response:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    return requests.post(f"{cli.url}/generate", json={"prompt": prompt, "max_length": 2}, headers=headers, timeout=30)


def tells_what_serves(cli: CommandLine) -> bool:
    # On a busy machine the proxy may take longer to answer than `status` waits for it.
    proxy = cli.status()["proxy"]
    return proxy is not None and [one["observed"] for one in proxy["upstreams"]] == ["serving"]


def test_a_client_needs_its_key_and_the_operator_none(cli: CommandLine) -> None:
    assert generate(cli, None).status_code == 401
    assert generate(cli, key_of(cli, "alice")).status_code == 200
    assert requests.get(f"{cli.url}/status", timeout=10).status_code == 401

    assert cli.run("generate", "--max-length", "2", "Hello").returncode == 0
    wait_until(lambda: tells_what_serves(cli), "status tells what the proxy says")


def test_a_service_elsewhere_is_asked_with_the_key_of_the_environment(cli: CommandLine) -> None:
    question = ("generate", "--max-length", "2", "--url", cli.url, "Hello")

    refused = cli.run(*question)
    assert refused.returncode == 15
    assert "next: set SCOUT_API_KEY to an API key of that service" in refused.stderr
    assert cli.run(*question, variables={"SCOUT_API_KEY": key_of(cli, "alice")}).returncode == 0


def test_up_again_does_nothing_and_says_how_the_api_is_asked(cli: CommandLine) -> None:
    printed = cli.up("--profile", "./mine.yaml").stdout

    assert "Already running, unchanged" in printed
    assert '-H "Authorization: Bearer $SCOUT_API_KEY"' in printed


def test_a_changed_file_is_said_and_applied_as_everything_runs(cli: CommandLine) -> None:
    before = cli.pid("proxy"), cli.pid("engine")
    bob = new_key(cli, "bob", "--requests-per-minute", "2")

    refused = cli.run("up", "--profile", "./mine.yaml", "--port", str(cli.port))
    assert refused.returncode == 13
    assert "  proxy/keys: 'bob' is new\n" in refused.stderr
    assert "next: the same command with --replace applies them at once; nothing is started again" in refused.stderr
    assert generate(cli, bob).status_code == 401

    cli.up("--profile", "./mine.yaml", "--replace")

    assert [generate(cli, bob).status_code for _ in range(3)] == [200, 200, 429]
    assert (cli.pid("proxy"), cli.pid("engine")) == before


def test_no_key_is_in_a_command_line_an_environment_or_a_log(cli: CommandLine) -> None:
    alice = key_of(cli, "alice").encode()
    operator = (cli.home / "state/scout-deploy/deployments/scout/operator-key").read_bytes()
    assert generate(cli, alice.decode()).status_code == 200
    assert generate(cli, f"{alice.decode()}x").status_code == 401

    read: list[bytes] = []
    for process in cli.processes():
        folder = Path("/proc") / str(process.pid)
        read += [(folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()]
    read += [path.read_bytes() for path in (cli.home / "state").rglob("*") if path.is_file()]

    assert len(read) > 6
    assert not [one for one in read if alice in one]
    assert [one for one in read if operator in one] == [operator]


def test_a_file_that_others_can_read_is_refused_before_anything_happens(cli: CommandLine) -> None:
    path = cli.home / "keys"
    path.chmod(0o644)
    try:
        refused = cli.run("up", "--profile", "./mine.yaml", "--port", str(cli.port))
    finally:
        path.chmod(0o600)

    assert refused.returncode == 2
    assert f"next: chmod 600 {os.path.realpath(path)}" in refused.stderr or f"chmod 600 {path}" in refused.stderr


def test_what_is_stored_in_redis_outlives_the_deployment(tmp_path: Path) -> None:
    with redis_server(password=REDIS_WORD) as redis, command_line(tmp_path) as own:
        host = redis.url.removeprefix("redis://")
        variables = {"CACHE_URL": f"redis://:{REDIS_WORD}@{host}/0"}
        start = (
            *("up", "--port", str(own.port), "--set", "proxy.cache.store=redis"),
            *("--set", "proxy.cache.redis_url_variable=CACHE_URL"),
        )
        assert own.run(*start).returncode == 2
        assert own.run(*start, variables=variables).returncode == 0
        assert [generate(own, None).headers["X-Cache"] for _ in range(2)] == ["MISS", "HIT"]
        others = [generate(own, None, f"p {number}").status_code for number in range(9)]
        wait_until(lambda: own.proxy_status()["shared_cache"]["backlog"] == 0, "all of it is written")
        started = [(Path("/proc") / str(one.pid) / "environ").read_bytes() for one in own.processes()]
        assert not [one for one in started if REDIS_WORD.encode() in one]
        assert own.run("down").returncode == 0

        assert own.run(*start, variables=variables).returncode == 0

        # One that Redis answers too late, or before it was reached at all, is generated; on a busy machine some may be.
        again = [generate(own, None, f"p {number}").headers["X-Cache"] for number in range(9)]
        assert (set(others), "HIT" in again) == ({200}, True)
        kept = [path for path in (tmp_path / "state").rglob("*") if path.is_file()]
        assert [path.parent.name for path in kept if REDIS_WORD.encode() in path.read_bytes()] == ["scout"]
