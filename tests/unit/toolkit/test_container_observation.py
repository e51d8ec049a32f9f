"""What a deployment of containers is, read from what the Docker host has of it."""

import pytest

from scout_deploy.containers import labels
from scout_deploy.containers.observation import ContainerObservation
from scout_deploy.containers.observed import ObservedContainer, Status
from scout_deploy.deployment import DeploymentState


def engine(
    replica: int = 0, *, generation: int = 1, status: Status = "running", policy: str = "unless-stopped"
) -> ObservedContainer:
    name = f"scout-engine-{generation}-{replica}"
    own = {labels.ROLE: "engine", labels.GENERATION: str(generation), labels.SETTINGS: settings("2026")}
    return ObservedContainer(id=name, name=name, labels=own, status=status, policy=policy, created_s=2.0)


def proxy(name: str = "scout-proxy", *, status: Status = "running", port: str = "2025") -> ObservedContainer:
    own = {labels.ROLE: "proxy", labels.HOST: "127.0.0.1", labels.PORT: port, labels.SETTINGS: settings(port)}
    return ObservedContainer(id=name, name=name, labels=own, status=status, policy="unless-stopped", created_s=1.0)


def settings(port: str) -> str:
    return labels.write_settings({"replicas": "1", "proxy/host": "127.0.0.1", "proxy/port": port})


def seen(*containers: ObservedContainer) -> ContainerObservation:
    return ContainerObservation(name="scout", containers=containers)


@pytest.mark.parametrize(
    ("containers", "state"),
    [
        ((proxy(), engine()), DeploymentState.READY),
        ((proxy(status="exited"), engine()), DeploymentState.RECOVERING),
        ((proxy(), engine(status="restarting")), DeploymentState.RECOVERING),
        ((proxy(), engine(policy="no")), DeploymentState.STARTING),
        ((proxy(), engine(policy="no", status="exited")), DeploymentState.FAILED),
        ((proxy(),), None),
        ((engine(),), None),
    ],
)
def test_state_is_read_off_the_containers(
    containers: tuple[ObservedContainer, ...], state: DeploymentState | None
) -> None:
    assert seen(*containers).state is state


@pytest.mark.parametrize("part", ["engine", "proxy"])
def test_container_that_was_made_and_never_started_is_not_waited_for(part: str) -> None:
    made = engine(policy="no", status="created" if part == "engine" else "running")

    assert seen(proxy(status="created" if part == "proxy" else "running"), made).state is None


def test_proxy_that_has_the_name_counts_while_another_is_parked() -> None:
    both = seen(proxy("scout-proxy-old", status="exited"), proxy(), engine())

    assert both.proxy is not None
    assert both.proxy.name == "scout-proxy"
    assert both.state is DeploymentState.READY


def test_proxy_that_lost_its_name_is_still_the_deployments() -> None:
    parked = seen(proxy("scout-proxy-old", status="exited"), engine())

    assert parked.state is DeploymentState.RECOVERING


def test_published_address_is_the_proxys_word_though_the_engines_are_newer() -> None:
    assert seen(proxy(port="2025"), engine()).settings["proxy/port"] == "2025"
