"""The gate of an exchange: when the new engines are measured, in which time, and what the proxy is told meanwhile."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import cast

import pytest

from fakes.tgi_requests import shipped_profile
from scout_deploy.api_client import ApiAnswer
from scout_deploy.container_draft import Wish, draft
from scout_deploy.containers.deployment import ContainerDeployment, Weights
from scout_deploy.containers.observed import ObservedContainer
from scout_deploy.containers.spec import Mount
from scout_deploy.diagnosis.death import Death
from scout_deploy.engines.catalogue import container_engine_for
from scout_deploy.errors import DeployError, GateMissedError, ReplaceFailedError
from scout_deploy.model_facts import ModelFacts
from scout_deploy.progress import Progress, Tell, Teller
from scout_deploy.runtimes.container_runtime import ContainerRuntime
from scout_deploy.runtimes.container_watch import EngineDiedError
from scout_deploy.runtimes.engine_exchange import Exchange
from scout_deploy.runtimes.engine_gate import TrialTarget
from scout_deploy.runtimes.engine_start import EngineStart
from scout_deploy.runtimes.route_board import RouteBoard
from scout_deploy.served_model import ServedModel
from scout_proxy.route_table import Limits, RouteTable, Template, Upstream, UpstreamState

OLD = Upstream(id="old", url="http://old:80", state=UpstreamState.RUNNING)
TEMPLATE = Template(chat_template="{{ messages }}")


def new_deployment() -> ContainerDeployment:
    mount = Mount(kind="bind", source="/cache/a", target="/weights/a", read_only=True)
    model = ServedModel(weights=Weights(mount=mount, path="/weights/a"), facts=ModelFacts(), template=TEMPLATE)
    wish = Wish(profile=shipped_profile("h100-8bit"), profile_name="h100-8bit", name="blue", version="9.9.9")
    return draft(wish, container_engine_for("tgi"), model, 2)


NEW = new_deployment()


@dataclass
class Host:
    """Stands for the Docker host, the engines' start and the proxy: they do at once what they are told, and note it.

    Args:
        start_s: How long the new engines' start took.
        died: Whether a new engine ends while it is measured.
        is_deaf: Whether the proxy takes over no table that has a trial.
    """

    start_s: float = 2.0
    died: bool = False
    is_deaf: bool = False
    done: list[str] = field(default_factory=list)
    tables: list[RouteTable] = field(default_factory=list)

    @property
    def engine(self) -> "Host":
        return self

    def inspect(self, name: str) -> ObservedContainer:
        return ObservedContainer(id=name, name=name, status="running", image_id="sha256:1")

    def stop_containers(self, *_: object, remove: bool = True) -> None:
        self.done.append("remove old" if remove else "stop old")

    @property
    def estimate_s(self) -> None:
        return None

    def create(self) -> None:
        self.done.append("create")

    def wait(self, limit_s: float | None = None) -> float:
        del limit_s
        return self.start_s

    def keep(self, took_s: float) -> None:
        assert took_s == self.start_s
        self.done.append("keep")

    def check_alive(self) -> None:
        if self.died:
            raise EngineDiedError(NEW.engines[0].name, Death(exit_code=137, was_ready=True))

    def ask(
        self, path: str, *, body: Mapping[str, object] | None = None, timeout_s: float, fresh: bool = False
    ) -> ApiAnswer:
        del path, body, timeout_s, fresh
        served = [one for one in self.tables if one.trial is None] if self.is_deaf else self.tables
        idle = [{"id": one.id, "in_flight": 0} for one in served[-1].upstreams]
        return ApiAnswer(200, {"route_table": {"revision": served[-1].revision}, "upstreams": idle})


@dataclass
class PlayedGate:
    """Notes what it is asked, and answers with an error where it is given one."""

    host: Host
    shortest_s: float = 11.0
    error: DeployError | None = None
    targets: list[TrialTarget] = field(default_factory=list)

    def check(self, target: TrialTarget, tell: Tell) -> None:
        tell("gate")
        self.targets.append(target)
        self.host.done.append("gate")
        if self.error is not None:
            raise self.error


def silent(_: Progress) -> None:
    """Show nothing."""


def exchange(host: Host, gate: PlayedGate | None, *, max_hold_s: float = 900.0, deadline_s: float = 600.0) -> Exchange:
    before = NEW.routes.model_copy(
        update={"upstreams": (OLD,), "template": Template(), "limits": Limits(deadline_s=deadline_s)}
    )
    return Exchange(
        runtime=cast("ContainerRuntime", host),
        old=(host.inspect("old"),),
        before=before,
        new=NEW,
        board=RouteBoard(before, host.tables.append, lambda: 0.0),
        start=cast("EngineStart", host),
        link=host,
        tell=Teller(silent),
        max_hold_s=max_hold_s,
        url="http://127.0.0.1:2025",
        gate=gate,
    )


MODES: dict[str, Callable[[Exchange], None]] = {"blue-green": Exchange.blue_green, "hold": Exchange.hold_and_swap}


@pytest.mark.parametrize("mode", MODES)
def test_engines_are_measured_after_their_proof_and_before_anybodys_requests(mode: str) -> None:
    host = Host()
    gate = PlayedGate(host)

    MODES[mode](exchange(host, gate))

    assert host.done[-3:] == ["create", "gate", "keep"]
    (tried,) = [table for table in host.tables if table.trial is not None]
    (target,) = gate.targets
    assert tried.trial is not None
    assert tried.trial.upstreams == (NEW.engines[0].name,)
    assert tried.trial.template == TEMPLATE
    (token,) = target.headers.values()
    assert tried.trial.token_digest == hashlib.sha256(token.encode()).hexdigest()
    assert token not in repr(target)
    assert token not in "".join(table.model_dump_json() for table in host.tables)
    states = {one.id: one.state for one in tried.upstreams}
    assert states[NEW.engines[0].name] is UpstreamState.STANDBY
    assert (tried.hold is not None, "old" in states) == (mode == "hold", mode == "blue-green")
    assert (target.url, target.image_digest) == ("http://127.0.0.1:2025", "sha256:1")
    assert host.tables[-1].trial is None
    assert {one.state for one in host.tables[-1].upstreams if one.id != "old"} == {UpstreamState.RUNNING}


@pytest.mark.parametrize("mode", MODES)
def test_engines_that_do_not_pass_are_not_kept_and_serve_nobody(mode: str) -> None:
    host = Host()

    with pytest.raises(GateMissedError):
        MODES[mode](exchange(host, PlayedGate(host, error=GateMissedError("too slow"))))

    assert "keep" not in host.done
    assert UpstreamState.RUNNING not in {one.state for one in host.tables[-1].upstreams if one.id != "old"}


@pytest.mark.parametrize("mode", MODES)
def test_two_exchanges_have_two_tokens(mode: str) -> None:
    host = Host()
    gate = PlayedGate(host)
    for _ in range(2):
        MODES[mode](exchange(host, gate))

    assert gate.targets[0].headers != gate.targets[1].headers


def test_without_a_gate_no_trial_is_declared() -> None:
    host = Host()

    exchange(host, None).blue_green()

    assert [table.trial for table in host.tables] == [None] * len(host.tables)


def test_where_nobody_waits_there_is_no_limit() -> None:
    host = Host()
    gate = PlayedGate(host)
    exchange(host, gate).blue_green()

    assert gate.targets[0].left_s is None


@pytest.mark.parametrize(("max_hold_s", "deadline_s"), [(100.0, 600.0), (900.0, 100.0)])
def test_what_a_held_request_may_wait_has_room_for_the_gate_and_the_way_back(
    max_hold_s: float, deadline_s: float
) -> None:
    host = Host(start_s=30.0)
    gate = PlayedGate(host)

    exchange(host, gate, max_hold_s=max_hold_s, deadline_s=deadline_s).hold_and_swap()

    left_s = gate.targets[0].left_s
    assert left_s is not None
    # Less what has passed meanwhile.
    assert 30 < left_s <= 100 - 30 - 10


def test_where_no_time_is_left_it_is_said_and_nothing_measured() -> None:
    host = Host(start_s=30.0)
    gate = PlayedGate(host)

    with pytest.raises(ReplaceFailedError, match="requests wait for at most 50 s, and the way back") as caught:
        exchange(host, gate, max_hold_s=50.0).hold_and_swap()

    assert "update/max_hold_s" in str(caught.value.next_step)
    assert gate.targets == []
    assert "keep" not in host.done


def test_an_engine_that_ended_while_it_was_measured_is_explained_as_that() -> None:
    host = Host(died=True)

    with pytest.raises(EngineDiedError):
        exchange(host, PlayedGate(host, error=GateMissedError("5 of 9 requests failed"))).blue_green()


def test_a_proxy_that_knows_no_trial_is_not_measured_in_its_place() -> None:
    host = Host(is_deaf=True)
    gate = PlayedGate(host)

    with pytest.raises(ReplaceFailedError, match="has not let the new engines be tried"):
        replace(exchange(host, gate), taken_over_s=0.3).blue_green()

    assert gate.targets == []
