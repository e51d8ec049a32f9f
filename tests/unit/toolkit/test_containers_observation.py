import itertools
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from scout_deploy.containers import labels
from scout_deploy.containers.observation import ContainerObservation
from scout_deploy.containers.observed import ObservedContainer, Status, epoch_s, observed
from scout_deploy.deployment import DeploymentState

ANSWERS = Path(__file__).parents[2] / "data/docker_answers"
SETTINGS = labels.write_settings({"replicas": "2", "proxy/port": "2025", "proxy/host": "127.0.0.1"})


def recorded(name: str) -> ObservedContainer:
    return observed(json.loads((ANSWERS / f"inspect-{name}.json").read_text(encoding="utf-8")))


def container(name: str, role: str, status: Status, policy: str, own: dict[str, str]) -> ObservedContainer:
    common = {labels.ROLE: role, labels.SETTINGS: SETTINGS, labels.PROFILE: "a100-4bit"}
    return ObservedContainer(id=name, name=name, status=status, policy=policy, labels=common | own)


def proxy(status: Status = "running") -> ObservedContainer:
    own = {labels.HOST: "127.0.0.1", labels.PORT: "2025"}
    return container("scout-proxy", "proxy", status, "unless-stopped", own)


def engine(
    replica: int, status: Status = "running", *, policy: str = "unless-stopped", generation: int = 1
) -> ObservedContainer:
    own = {labels.GENERATION: str(generation), labels.REPLICA: str(replica)}
    return container(f"scout-engine-{generation}-{replica}", "engine", status, policy, own)


def deployment(*containers: ObservedContainer) -> ContainerObservation:
    return ContainerObservation(name="scout", containers=containers)


def test_a_container_that_was_never_started() -> None:
    created = recorded("created")

    assert created == ObservedContainer(
        id=created.id,
        name="scout-engine-1-0",
        labels={"scout.deployment": "demo", "scout.role": "engine"},
        status="created",
        created_s=created.created_s,
        image="scout-test:1",
        image_id="sha256:" + "5" * 64,
    )
    assert (created.started_s, created.finished_s) == (None, None)
    assert not created.is_running
    assert not created.has_ended


def test_a_healthy_running_container() -> None:
    running = recorded("running")

    assert (running.status, running.health, running.policy, running.is_running) == ("running", "healthy", "no", True)
    assert running.pid > 0
    assert running.started_s is not None
    assert 0 < running.started_s - running.created_s < 5
    assert running.finished_s is None


def test_a_container_that_was_killed() -> None:
    killed = recorded("killed")

    assert (killed.status, killed.exit_code, killed.oom_killed, killed.has_ended) == ("exited", 137, False, True)
    assert killed.finished_s is not None
    assert killed.started_s is not None
    assert killed.finished_s > killed.started_s


def test_a_container_that_took_too_much_memory() -> None:
    starved = recorded("oom")

    assert (starved.exit_code, starved.oom_killed) == (137, True)


def test_a_container_that_docker_is_about_to_start_again() -> None:
    restarting = recorded("restarting")

    assert (restarting.status, restarting.restarts, restarting.exit_code) == ("restarting", 2, 3)
    assert restarting.policy == "unless-stopped"
    # Docker itself says `Running: true` of it.
    assert not restarting.is_running
    assert not restarting.has_ended


def test_a_container_whose_command_cannot_be_started_has_ended_although_docker_calls_it_created() -> None:
    unstartable = recorded("unstartable")

    assert (unstartable.status, unstartable.exit_code, unstartable.has_ended) == ("created", 127, True)
    assert "/nothing/here: no such file or directory" in unstartable.error


def test_an_answer_with_nulls_in_it_is_read() -> None:
    sparse = observed({"Id": "1", "Name": "/x", "State": {"Status": "exited", "Health": None}, "Config": None})

    assert sparse == ObservedContainer(id="1", name="x", status="exited")


@pytest.mark.parametrize(
    ("stamp", "seconds"),
    [
        ("1970-01-01T00:00:01Z", 1.0),
        ("1970-01-01T00:00:01.5Z", 1.5),
        ("1970-01-01T00:00:01.123456789Z", 1.123456789),
        ("1970-01-01T02:00:01.250000000+02:00", 1.25),
        ("1969-12-31T19:00:01-05:00", 1.0),
        ("1970-01-01T00:00:01", 1.0),
    ],
    ids=["no fraction", "one digit", "nine digits", "east with fraction", "west", "no zone"],
)
def test_a_time_stamp_in_each_form(stamp: str, seconds: float) -> None:
    assert epoch_s(stamp) == pytest.approx(seconds, abs=1e-6)


@pytest.mark.parametrize("stamp", ["0001-01-01T00:00:00Z", "", None, 17, "soon", "2026-13-45T00:00:00Z", "2026-01-01"])
def test_what_is_no_time_has_none(stamp: object) -> None:
    assert epoch_s(stamp) is None


def test_of_nothing_nothing_is_known() -> None:
    nothing = ContainerObservation(name="scout")

    assert nothing.is_empty
    assert (nothing.state, nothing.url, nothing.generation, nothing.profile, nothing.settings) == (
        None,
        None,
        0,
        "",
        {},
    )
    assert not ContainerObservation(name="scout", volumes=("scout-routes",)).is_empty


# Of two engines that have not proven themselves yet.
@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (("running", "running"), DeploymentState.STARTING),
        (("running", "exited"), DeploymentState.FAILED),
        (("exited", "exited"), DeploymentState.FAILED),
        (("dead", "running"), DeploymentState.FAILED),
        (("created", "exited"), DeploymentState.FAILED),
        (("created", "created"), None),
        (("created", "running"), None),
    ],
)
def test_the_state_of_a_first_start(statuses: Sequence[Status], expected: DeploymentState | None) -> None:
    engines = [engine(number, status, policy="no") for number, status in enumerate(statuses)]

    assert deployment(proxy(), *engines).state is expected


def test_a_first_start_whose_proxy_does_not_run_is_incomplete() -> None:
    assert deployment(proxy("exited"), engine(0, policy="no"), engine(1, policy="no")).state is None


def test_a_container_that_could_not_be_started_has_failed() -> None:
    refused = engine(1, "created", policy="no").model_copy(update={"error": "could not select device driver"})

    assert deployment(proxy(), engine(0, policy="no"), refused).state is DeploymentState.FAILED


# Of engines that have proven themselves: whatever is not running comes back, or is the operator's wish.
@pytest.mark.parametrize(
    "statuses", list(itertools.product(["running", "paused", "restarting", "exited", "dead", "created"], repeat=2))
)
def test_the_state_of_engines_that_served(statuses: tuple[Status, Status]) -> None:
    alive = all(status in {"running", "paused"} for status in statuses)

    state = deployment(proxy(), *(engine(number, status) for number, status in enumerate(statuses))).state

    assert state is (DeploymentState.READY if alive else DeploymentState.RECOVERING)


def test_engines_that_serve_behind_a_proxy_that_does_not_are_recovering() -> None:
    assert deployment(proxy("restarting"), engine(0), engine(1)).state is DeploymentState.RECOVERING


def test_without_the_proxy_or_an_engine_it_is_incomplete() -> None:
    assert deployment(engine(0), engine(1)).state is None
    assert deployment(proxy(), engine(0)).state is None
    assert deployment(proxy()).state is None


def test_one_proven_engine_beside_one_that_is_not_is_starting() -> None:
    assert deployment(proxy(), engine(0), engine(1, policy="no")).state is DeploymentState.STARTING


def test_while_an_update_starts_beside_it_the_proven_generation_counts() -> None:
    old, new = [engine(0), engine(1)], [engine(0, policy="no", generation=2), engine(1, policy="no", generation=2)]
    seen = deployment(proxy(), *new, *old)

    assert seen.generation == 1
    assert seen.engines == tuple(old)
    assert seen.other_engines == tuple(new)
    assert seen.state is DeploymentState.READY


def test_after_the_switch_the_newest_proven_generation_counts() -> None:
    old = [engine(0, "exited"), engine(1, "exited")]
    new = [engine(0, generation=2), engine(1, generation=2)]

    assert deployment(proxy(), *old, *new).engines == tuple(new)
    assert deployment(proxy(), *old, *new).state is DeploymentState.READY


def test_where_no_generation_is_proven_the_newest_counts() -> None:
    stopped = [engine(0, "exited", policy="no"), engine(1, "exited", policy="no")]
    begun = [engine(number, policy="no", generation=10) for number in (0, 1)]

    seen = deployment(proxy(), *begun, *stopped, engine(0, policy="no", generation=9))

    assert seen.generation == 10
    assert seen.state is DeploymentState.STARTING
    assert [one.name for one in seen.other_engines] == ["scout-engine-1-0", "scout-engine-1-1", "scout-engine-9-0"]


def test_settings_are_those_of_the_part_made_last_but_the_port_is_the_proxys() -> None:
    changed = {"replicas": "1", "proxy/port": "9", "proxy/host": "127.0.0.1", "engine/dtype": "float16"}
    own = engine(0).labels | {labels.SETTINGS: labels.write_settings(changed)}
    newer = engine(0).model_copy(update={"labels": own, "created_s": 9.0})

    seen = deployment(proxy(), newer)

    assert seen.settings == changed | {"proxy/port": "2025"}
    assert seen.replicas == 1
    assert seen.profile == "a100-4bit"
    assert seen.url == "http://127.0.0.1:2025"


def test_labels_that_are_not_ours_are_survived() -> None:
    odd = {labels.SETTINGS: '["no"]', labels.GENERATION: "²", labels.REPLICA: "x", labels.GPUS: "0,x,²,3"}
    strange = engine(0).model_copy(update={"labels": {labels.ROLE: "engine", **odd}})
    door = proxy().model_copy(update={"labels": {labels.ROLE: "proxy", labels.PORT: "none", labels.SETTINGS: "{"}})

    seen = deployment(door, strange)

    assert (seen.generation, seen.replicas, seen.settings, seen.profile) == (0, 1, {}, "")
    assert seen.url == "http://127.0.0.1:0"
    assert labels.read_gpus(strange.labels) == (0, 3)


def test_settings_and_overrides_come_back_from_their_labels() -> None:
    settings = {"api/name": "Ünïcode API", "engine/environment/A": 'with "quotes"'}
    overrides = ("engine.dtype=float16", "api.name=ä b")
    own = {labels.SETTINGS: labels.write_settings(settings), labels.OVERRIDES: labels.write_overrides(overrides)}

    assert labels.read_settings(own) == settings
    assert labels.read_overrides(own) == overrides
    assert labels.read_overrides({}) == labels.read_overrides({labels.OVERRIDES: "{}"}) == ()
    assert labels.read_overrides({labels.OVERRIDES: "["}) == ()
