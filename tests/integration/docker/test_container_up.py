"""A deployment of containers as it comes up, as it stands, and as it goes: through the command, on a real engine."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import docker
import pytest

from fakes.container_case import ContainerCase, events_of, wait_until
from fakes.container_deployment import Made, container_deployment, engines, main_process
from fakes.docker_leftovers import DEPLOYMENT_LABEL
from fakes.tgi_weights import write_weights
from fakes.this_machine import unused_port

pytestmark = pytest.mark.docker

_TOKEN = "hf_" + "LifecycleSecret" * 2
_ROOT = Path(__file__).parents[3]
# In the order in which a user reads them.
PHASES = ("start proxy", "start", "load", "warm-up", "first generation")
# TGI drains for up to 90 s before it ends.
_DRAIN_S = 90
_HEALTHY_S = 150.0


@pytest.fixture(scope="module")
def made(docker_engine: docker.DockerClient, tgi_image: str, base_image: str) -> Made:
    return Made(client=docker_engine, tgi_image=tgi_image, base_image=base_image)


@pytest.fixture(scope="module")
def module_port() -> int:
    return unused_port()


@dataclass(frozen=True, kw_only=True)
class Running:
    """A deployment that the tests look at and do not change, and what `up` printed of it."""

    case: ContainerCase
    printed: CompletedProcess[str]

    def inspected(self) -> dict[str, dict[str, Any]]:
        """Return `docker inspect` of each container, by its name behind the deployment's."""
        prefix = f"scout-{self.case.name}-"
        return {str(one.name).removeprefix(prefix): dict(one.attrs) for one in self.case.containers()}


@pytest.fixture(scope="module")
def running(made: Made, tmp_path_factory: pytest.TempPathFactory, module_port: int) -> Iterator[Running]:
    home = tmp_path_factory.mktemp("running")
    weights = write_weights(home / "weights", load_s=0.2)
    name = f"test-up-{module_port}"
    with container_deployment(made, home, name, weights, module_port) as case:
        yield Running(case=case, printed=case.up_works(variables={"HF_TOKEN": _TOKEN}))


def test_up_prints_every_phase_in_its_order_and_where_to_go_on(running: Running) -> None:
    printed, case = running.printed.stdout, running.case

    phases = [line[10:] for line in printed.splitlines() if line[6:10] == " s  "]
    firsts = [next(i for i, line in enumerate(phases) if line.startswith(phase)) for phase in PHASES]
    assert firsts == sorted(firsts)
    assert all(f"load engine {replica}" in printed for replica in (0, 1))
    assert f"curl -s {case.cli.url}/generate" in printed
    assert f"down {case.name}" in printed
    assert "\x1b" not in printed


def test_only_the_proxy_is_published_and_only_on_loopback(running: Running) -> None:
    published = {
        part: {inside: outside for inside, outside in (one["NetworkSettings"]["Ports"] or {}).items() if outside}
        for part, one in running.inspected().items()
    }

    assert published == {
        "engine-1-0": {},
        "engine-1-1": {},
        "proxy": {"2025/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(running.case.cli.port)}]},
    }


def test_up_again_changes_nothing(running: Running) -> None:
    before = {part: (one["Id"], one["State"]["StartedAt"]) for part, one in running.inspected().items()}

    again = running.case.up_works()

    assert "Already running, unchanged" in again.stdout
    assert {part: (one["Id"], one["State"]["StartedAt"]) for part, one in running.inspected().items()} == before


def test_up_with_another_setting_says_what_differs_and_does_nothing(running: Running) -> None:
    before = {part: one["Id"] for part, one in running.inspected().items()}

    result = running.case.up("--set", "engine.context_length=1024")

    assert result.returncode == 13
    assert "engine/context_length: 2048 -> 1024" in result.stderr
    assert "--replace" in result.stderr.partition("next: ")[2]
    assert {part: one["Id"] for part, one in running.inspected().items()} == before


def test_contract_holds_through_the_proxys_container(running: Running) -> None:
    """The suite's own tests, but for those of clients and of generated bodies, which take their time."""
    tests = [str(_ROOT / "tests/contract" / f"test_contract_{part}.py") for part in ("service", "generate")]

    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--base-url", running.case.cli.url, *tests],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )

    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-1000:]
    assert " passed" in result.stdout


def test_every_container_is_locked_up_as_far_as_it_goes(running: Running) -> None:
    for part, one in running.inspected().items():
        host = one["HostConfig"]
        assert host["CapDrop"] == ["ALL"], part
        assert any(option.startswith("no-new-privileges") for option in host["SecurityOpt"]), part
        assert not host["Privileged"], part
        assert host["LogConfig"]["Config"]["max-size"], part
        assert int(host["LogConfig"]["Config"]["max-file"]) >= 1, part
        assert not any("docker.sock" in mount["Source"] for mount in one["Mounts"]), part


def test_proxy_is_nobody_and_writes_nowhere(running: Running) -> None:
    proxy = running.inspected()["proxy"]

    assert proxy["HostConfig"]["ReadonlyRootfs"] is True
    assert proxy["Config"]["User"].partition(":")[0] not in {"", "0", "root"}
    status = Path("/proc", str(main_process(running.case.container("proxy"))), "status").read_text(encoding="utf-8")
    (user,) = [line.split()[1:] for line in status.splitlines() if line.startswith("Uid:")]
    assert "0" not in user


def test_engines_read_their_weights_and_may_not_change_them(running: Running) -> None:
    mounts = [mount for part in ("engine-1-0", "engine-1-1") for mount in running.inspected()[part]["Mounts"]]

    assert mounts
    assert [mount["RW"] for mount in mounts if mount["Type"] == "bind"] == [False, False]


def test_what_has_proven_itself_comes_back_and_may_finish_what_it_began(running: Running) -> None:
    told = running.inspected()

    assert {part: one["HostConfig"]["RestartPolicy"]["Name"] for part, one in told.items()} == dict.fromkeys(
        told, "unless-stopped"
    )
    assert all(one["Config"]["StopTimeout"] > _DRAIN_S for part, one in told.items() if part.startswith("engine"))


def test_operators_token_is_nowhere_on_the_docker_host(running: Running) -> None:
    case, secret = running.case, _TOKEN.encode()

    assert secret not in json.dumps(running.inspected()).encode()
    filters: dict[str, Any] = {"label": f"{DEPLOYMENT_LABEL}={case.name}"}
    told: list[list[Any]] = [case.docker.networks.list(filters=filters), case.docker.volumes.list(filters=filters)]
    assert all(found and secret not in json.dumps([one.attrs for one in found]).encode() for found in told)
    assert all(secret not in one.logs() for one in case.containers())
    assert secret not in running.printed.stdout.encode()
    for one in case.containers():
        process = Path("/proc", str(main_process(one)))
        assert process.joinpath("cmdline").read_bytes()
        assert secret not in process.joinpath("cmdline").read_bytes() + process.joinpath("environ").read_bytes()


def test_status_says_that_it_is_ready_and_what_runs(running: Running) -> None:
    told = running.case.status()

    assert (told["state"], told["url"], told["drift"]) == ("ready", running.case.cli.url, [])
    assert sorted(one["role"] for one in told["containers"]) == ["engine", "engine", "proxy"]
    assert {one["restarts"] for one in told["containers"]} == {0}


def test_two_deployments_stand_side_by_side_and_go_one_by_one(
    running: Running, made: Made, tmp_path: Path, demo_weights: Path, free_port: int
) -> None:
    before = {part: one["Id"] for part, one in running.inspected().items()}

    with container_deployment(
        made, tmp_path, f"test-second-{free_port}", demo_weights, free_port, replicas=1
    ) as second:
        events = events_of(second.up_works("--json"))
        assert second.generate().status_code == running.case.generate().status_code == 200
        (engine,) = engines(second)
        assert not set(network_ids(engine)) & set(network_ids(engines(running.case)[0]))

        down = second.run("down")
        assert down.returncode == 0, down.stderr

    phases = [event["phase"] for event in events if event["event"] == "phase"]
    assert [phase for phase in phases if phase in PHASES] == list(PHASES)
    assert (events[-1]["event"], events[-1]["was_running"]) == ("ready", False)
    assert {part: one["Id"] for part, one in running.inspected().items()} == before
    assert running.case.generate().status_code == 200


def network_ids(container: Any) -> list[str]:
    return [one["NetworkID"] for one in container.attrs["NetworkSettings"]["Networks"].values()]


def test_port_of_another_deployment_is_refused_and_nothing_is_left(
    running: Running, made: Made, tmp_path: Path, demo_weights: Path
) -> None:
    port = running.case.cli.port
    with container_deployment(made, tmp_path, f"test-third-{port}", demo_weights, port, replicas=1) as third:
        result = third.up()

        assert result.returncode == 6
        assert f"port {port} is taken" in result.stderr
        assert running.case.name in result.stderr
        assert third.containers() == []


@pytest.mark.parametrize("part", ["engine-1-0", "proxy"])
def test_somebody_elses_container_with_our_name_is_left_alone(
    made: Made, tmp_path: Path, demo_weights: Path, free_port: int, part: str
) -> None:
    name = f"test-name-{free_port}"
    theirs = made.client.containers.create(made.base_image, name=f"scout-{name}-{part}")
    try:
        with container_deployment(made, tmp_path, name, demo_weights, free_port, replicas=1) as case:
            result = case.up()

            assert result.returncode == 17, result.stdout + result.stderr
            assert f"'scout-{name}-{part}'" in result.stderr
            assert "docker ps -a" in result.stderr
            assert case.containers() == []
        theirs.reload()
        assert theirs.status == "created"
    finally:
        theirs.remove(force=True)


@pytest.mark.parametrize("kind", ["network", "volume"])
def test_somebody_elses_network_or_volume_with_our_name_is_left_alone(
    made: Made, tmp_path: Path, demo_weights: Path, free_port: int, kind: str
) -> None:
    name = f"test-name-{free_port}"
    theirs: Any = (
        made.client.networks.create(f"scout-{name}")
        if kind == "network"
        else made.client.volumes.create(f"scout-{name}-routes")
    )
    try:
        with container_deployment(made, tmp_path, name, demo_weights, free_port, replicas=1) as case:
            result = case.up()

            assert result.returncode == 17, result.stdout + result.stderr
            assert f"a {kind} named 'scout-{name}" in result.stderr
            assert case.containers() == []
        theirs.reload()
    finally:
        theirs.remove()


def test_every_container_becomes_healthy(running: Running) -> None:
    # Last in this file: the health checks take their first half minute beside the other tests.
    wait_until(
        lambda: {one["State"]["Health"]["Status"] for one in running.inspected().values()} == {"healthy"},
        patience_s=_HEALTHY_S,
    )
