"""API keys over containers: only digests leave the operator's file, and changes need no new container."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import docker
import pytest
import requests

from fakes.command_line import CommandLine
from fakes.container_case import ContainerCase, wait_until
from fakes.container_deployment import Made, container_deployment
from fakes.tgi_weights import write_weights
from fakes.this_machine import unused_port
from scout_deploy.cli.api_target import KEY_VARIABLE

pytestmark = pytest.mark.docker

ALICE, BOB = "alice-has-a-key-0001", "bob-has-a-key-000002"
REDIS = "redis://:a-password@cache.example:6379/0"
_VARIABLES = {"REDIS_URL": REDIS}
_WITH_REDIS = ("--set", "proxy.cache.store=redis", "--set", "proxy.cache.redis_url_variable=REDIS_URL")


@pytest.fixture(scope="module")
def made(docker_engine: docker.DockerClient, tgi_image: str, base_image: str) -> Made:
    return Made(client=docker_engine, tgi_image=tgi_image, base_image=base_image)


@pytest.fixture(scope="module")
def shared(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ContainerCase]:
    weights = write_weights(tmp_path_factory.mktemp("weights") / "weights")
    home, port = tmp_path_factory.mktemp("home"), unused_port()
    with container_deployment(made, home, f"test-keys-{port}", weights, port, replicas=1) as case:
        write_keys(case, f"alice: {ALICE}")
        case.up_works(*with_keys(case))
        yield case


@pytest.fixture
def case(shared: ContainerCase) -> ContainerCase:
    """The deployment, with Alice's key alone."""
    write_keys(shared, f"alice: {ALICE}")
    if shared.up(*with_keys(shared)).returncode != 0:
        shared.up_works("--replace", *with_keys(shared))
    return shared


def with_keys(case: ContainerCase) -> tuple[str, ...]:
    return ("--set", f"proxy.keys.file={case.profile.parent / 'keys'}")


def write_keys(case: ContainerCase, *lines: str) -> None:
    path = case.profile.parent / "keys"
    path.write_text("\n".join(lines), encoding="utf-8")
    path.chmod(0o600)


def generate(case: ContainerCase, key: str | None) -> int:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    body = {"prompt": "Tell me about the sea.", "max_length": 4}
    return requests.post(f"{case.cli.url}/generate", json=body, headers=headers, timeout=30).status_code


def tells_what_serves(case: ContainerCase) -> bool:
    # On a busy machine the proxy may take longer to answer than `status` waits for it.
    proxy = case.status()["proxy"]
    return proxy is not None and [one["observed"] for one in proxy["upstreams"]] == ["serving"]


def ids(case: ContainerCase) -> dict[str, str]:
    return {str(one.name): f"{one.id} {one.attrs['State']['StartedAt']}" for one in case.containers()}


def of_proxy(case: ContainerCase, code: str) -> str:
    """Return what Python prints in the proxy's container, in the folder of the route table."""
    argv = ["python", "-c", f"import os; os.chdir('/var/lib/scout'); print({code}, end='')"]
    output = case.container("proxy").exec_run(argv).output
    assert isinstance(output, bytes)
    return output.decode()


def content(case: ContainerCase, name: str) -> str:
    return of_proxy(case, f"open('{name}').read()")


def files(case: ContainerCase) -> list[str]:
    return sorted(of_proxy(case, "*os.listdir()").split())


def rights(case: ContainerCase, name: str) -> str:
    return of_proxy(case, f"oct(os.stat('{name}').st_mode & 0o777), os.stat('{name}').st_uid")


def test_a_client_needs_its_key_and_the_operator_none(case: ContainerCase) -> None:
    assert [generate(case, key) for key in (None, BOB, ALICE)] == [401, 401, 200]
    assert case.get("/status").status_code == 401
    assert case.get("/health").status_code == 200

    assert case.status()["state"] == "ready"
    wait_until(lambda: tells_what_serves(case))
    assert case.cli.run("generate", "--name", case.name, "--max-length", "4", "Hello").returncode == 0


def test_a_benchmark_asks_with_the_operator_s_key_or_its_own_and_keeps_the_image_s_digest(case: ContainerCase) -> None:
    # Of --quick, a request has ten seconds, which a busy machine may need for a long answer.
    data = case.profile.parent / "short.jsonl"
    data.write_text('{"input_tokens": 8, "output_tokens": 3}\n', encoding="utf-8")
    load = ("--quick", "--users", "1", "--duration", "1", "--no-search", "--data", str(data), "--json")
    measured = case.run("bench", *load)
    elsewhere = ("bench", "--url", case.cli.url, *load)
    without = case.cli.run(*elsewhere)
    wrong = case.cli.run(*elsewhere, variables={KEY_VARIABLE: BOB})
    with_key = case.cli.run(*elsewhere, variables={KEY_VARIABLE: ALICE})

    assert (measured.returncode, with_key.returncode) == (0, 0), measured.stdout + with_key.stdout
    summary = json.loads(measured.stdout.splitlines()[-1])
    kept = json.loads(Path(summary["data"]).read_text(encoding="utf-8"))
    image = case.container().image
    assert image is not None
    assert kept["subject"]["image_digest"] == summary["image_digest"] == image.id
    assert Path(summary["data"]).parent.name == str(image.id).removeprefix("sha256:")[:12]
    assert kept["steps"][0]["result"]["figures"]["errors"] == {}
    for refused in (without, wrong):
        error = json.loads(refused.stdout)
        assert (refused.returncode, error["exit_code"]) == (15, 15)
        assert error["message"].startswith(f"{case.cli.url} cannot be measured: it answers 401: ")
        assert error["next_step"] == "set SCOUT_API_KEY to an API key of that service"
    printed = "".join(one.stdout + one.stderr for one in (measured, without, wrong, with_key))
    assert not [key for key in (ALICE, BOB) if key in printed + json.dumps(kept)]


def test_nothing_of_a_key_is_where_containers_are_looked_at(case: ContainerCase) -> None:
    table = json.loads(content(case, "routes.json"))
    operator = content(case, "operator-key")
    secret = [ALICE, operator, table["keys"]["salt"], *(key["digest"] for key in table["keys"]["keys"])]

    shown = json.dumps([one.attrs for one in case.containers()])
    logs = case.run("logs").stdout + case.run("status", "--json").stdout
    planned = case.up("--dry-run", "--json", *with_keys(case)).stdout

    assert len(secret) == 5
    assert not [one for one in secret if one in shown + logs + planned]
    assert rights(case, "operator-key") == "0o600 65532"
    assert rights(case, "routes.json") == "0o600 65532"


@pytest.mark.variant
def test_up_again_does_nothing_and_a_changed_file_is_said_by_name(case: ContainerCase) -> None:
    assert "Already running, unchanged" in case.up_works(*with_keys(case)).stdout
    write_keys(case, f"alice: {ALICE} max_concurrent=3", f"bob: {BOB}")

    refused = case.up(*with_keys(case))

    assert refused.returncode == 13
    assert "  proxy/keys: 'bob' is new\n  proxy/keys: 'alice': max_concurrent: none -> 3\n" in refused.stderr
    assert "next: the same command with --replace applies them at once; nothing is started again" in refused.stderr
    assert any("'bob' is new" in line for line in case.status()["drift"])
    assert generate(case, BOB) == 401


def test_a_changed_file_is_applied_and_no_container_is_exchanged(case: ContainerCase) -> None:
    before = ids(case)
    write_keys(case, f"bob: {BOB}")

    case.up_works("--replace", *with_keys(case))

    assert [generate(case, key) for key in (ALICE, BOB)] == [401, 200]
    assert ids(case) == before
    assert "Already running, unchanged" in case.up_works(*with_keys(case)).stdout


@pytest.mark.variant
def test_cache_and_queue_are_changed_and_no_container_is_exchanged(case: ContainerCase) -> None:
    before = ids(case)
    changed = (*with_keys(case), "--set", "proxy.queue.max_waiting=5", "--set", "proxy.cors.origins=['*']")

    case.up_works("--replace", *changed, *_WITH_REDIS, variables=_VARIABLES)

    (url_file,) = (name for name in files(case) if name.startswith("redis-url-"))
    assert content(case, url_file) == REDIS
    assert rights(case, url_file) == "0o600 65532"
    table = json.loads(content(case, "routes.json"))
    assert (table["limits"]["max_waiting"], table["cors"]["origins"]) == (5, ["*"])
    assert "a-password" not in json.dumps([table, *(one.attrs for one in case.containers())])
    assert generate(case, ALICE) == 200
    assert ids(case) == before

    case.up_works("--replace", *with_keys(case))
    assert files(case) == ["operator-key", "routes.json"]


@pytest.mark.parametrize("change", ["engine.max_concurrent_requests=64", "api.name=Another API"])
@pytest.mark.variant
def test_engines_and_proxy_are_exchanged_with_the_keys_they_had(case: ContainerCase, change: str) -> None:
    case.up_works("--replace", *with_keys(case), "--set", change)

    assert [generate(case, key) for key in (None, ALICE)] == [401, 200]
    assert "Already running, unchanged" in case.up_works(*with_keys(case), "--set", change).stdout


@pytest.mark.variant
def test_an_api_is_opened_and_closed_and_no_container_is_exchanged(case: ContainerCase) -> None:
    before = ids(case)

    case.up_works("--replace")
    assert generate(case, None) == 200
    assert files(case) == ["routes.json"]

    case.up_works("--replace", *with_keys(case))
    assert [generate(case, key) for key in (None, ALICE)] == [401, 200]
    assert ids(case) == before


@pytest.mark.variant
def test_another_machine_of_the_operator_knows_all_of_it(case: ContainerCase, tmp_path: Path) -> None:
    elsewhere = replace(case, cli=CommandLine(tmp_path, case.cli.port))

    wait_until(lambda: tells_what_serves(elsewhere))
    assert "Already running, unchanged" in elsewhere.up_works(*with_keys(case)).stdout
