"""`up --replace --gate` under a loop of requests, in both modes: what passes, what misses the level, and Ctrl-C."""

import json
import signal
from collections.abc import Iterator

import docker
import pytest

from fakes.container_case import ContainerCase, events_of
from fakes.container_deployment import Made, container_deployment, ended, engines, load_on, wait_for_line
from fakes.tgi_weights import write_weights
from fakes.this_machine import unused_port

# Two exchanges and two loads in one test: on a busy machine that takes longer than tests usually may.
pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

_GATE_MISSED = 20
# What no engine keeps, and what every one does.
_STRICT = ("--set", "service_level.ttft_p99_ms=0.01")
_EASY = ("--set", "service_level.ttft_p99_ms=600000", "--set", "service_level.tpot_p99_ms=600000")


@pytest.fixture(scope="module")
def case(
    docker_engine: docker.DockerClient, tgi_image: str, base_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ContainerCase]:
    """One deployment for all tests: each finds it serving, and leaves it serving."""
    made = Made(client=docker_engine, tgi_image=tgi_image, base_image=base_image)
    home, port = tmp_path_factory.mktemp("home"), unused_port()
    weights = write_weights(home / "weights")
    with container_deployment(made, home, f"test-gate-{port}", weights, port, replicas=1) as deployment:
        deployment.up_works()
        yield deployment


def arguments(mode: str, context_length: int) -> tuple[str, ...]:
    length = f"engine.context_length={context_length}"
    return ("--replace", "--gate", "--gate-duration", "15", "--set", f"update.mode={mode}", "--set", length)


def route_table(case: ContainerCase) -> dict[str, object]:
    show = "print(open('/var/lib/scout/routes.json').read())"
    _, printed = case.container("proxy").exec_run(["python", "-c", show])
    assert isinstance(printed, bytes)
    table: dict[str, object] = json.loads(printed)
    return table


@pytest.mark.parametrize(
    ("mode", "context_length"), [pytest.param("blue-green", 1024, marks=pytest.mark.variant), ("hold", 1536)]
)
def test_only_engines_that_keep_the_level_take_over_and_no_request_is_lost(
    case: ContainerCase, mode: str, context_length: int
) -> None:
    before = {one.id: one.attrs["State"]["StartedAt"] for one in engines(case)}
    asked = arguments(mode, context_length)

    with load_on(case) as load:
        missed = case.up(*asked, *_STRICT)
        after_miss = {one.id: one.attrs["State"]["StartedAt"] for one in engines(case)}
        status = case.status()
        passed = case.up_works(*asked, *_EASY, "--json")

    assert load.failures == []
    assert missed.returncode == _GATE_MISSED, missed.stdout + missed.stderr
    assert "the new engines missed the service level" in missed.stderr
    assert "beyond TTFT 0.01 ms" in missed.stderr
    assert "the old engines serve" in missed.stderr
    assert after_miss.keys() == before.keys()
    assert (after_miss == before) is (mode == "blue-green")
    assert status["state"] == "ready"

    (gate,) = [event for event in events_of(passed) if event["event"] == "gate"]
    assert (gate["outcome"], gate["holds"]) == ("held", True)
    assert gate["figures"]["requests"] >= 5
    notes = [event["detail"] for event in events_of(passed) if event["event"] == "note"]
    assert any(note.startswith("the gate is passed; ") and "TTFT" in note for note in notes)
    assert not {one.id for one in engines(case)} & before.keys()
    assert "trial" not in route_table(case)
    # Both are kept, and told from benchmarks.
    listed = case.cli.run("bench", "list", case.name, "--json")
    assert [run["is_gate"] for run in json.loads(listed.stdout)["runs"]][-2:] == [True, True]


@pytest.mark.variant
def test_ctrl_c_at_the_gate_goes_back_to_the_old_engines(case: ContainerCase) -> None:
    before = {one.id for one in engines(case)}
    with load_on(case) as load:
        process = case.start_up(*arguments("hold", 2048), *_EASY, "--gate-duration", "600")
        wait_for_line(process, " s  gate 4 users")

        process.send_signal(signal.SIGINT)
        status, printed = ended(process)

    assert load.failures == []
    assert status == 130, printed
    assert "Traceback" not in printed
    assert {one.id for one in engines(case)} == before
    assert case.status()["state"] == "ready"
