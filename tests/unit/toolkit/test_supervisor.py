"""What the supervisor does about deaths: the first start that fails, and what served once."""

import json
import sys
from pathlib import Path

import pytest

from fakes.scripted_deployment import ScriptedDeployment
from scout_deploy.api_client import call_api
from scout_deploy.bring_up import bring_up
from scout_deploy.deployment import DeploymentState
from scout_deploy.errors import (
    ModelFileError,
    StartTimeoutError,
)
from scout_deploy.progress import Progress
from scout_proxy.route_table import UpstreamState, read_route_table


def silent(_: Progress) -> None:
    """Show nothing."""


@pytest.mark.parametrize("role", ["engine", "proxy"])
def test_a_killed_process_comes_back(scripted: ScriptedDeployment, role: str) -> None:
    bring_up(scripted.runtime, scripted.spec, silent)
    routes = scripted.runtime.store(scripted.spec.name).routes
    old_pid = scripted.kill(role)

    def is_back(_: object) -> bool:
        now = scripted.process(role)
        return now.identity is not None and now.identity.pid != old_pid

    scripted.wait_until(is_back)
    scripted.wait_ready()

    assert scripted.process(role).restarts == 1
    assert scripted.process(role).last_exit is not None
    assert read_route_table(routes).upstreams[0].state is UpstreamState.RUNNING
    assert call_api(scripted.spec.url, "/generate", body={}, timeout_s=30).status == 200


def test_a_process_that_cannot_be_started_again_at_once_is_tried_again_later(
    scripted: ScriptedDeployment, tmp_path: Path
) -> None:
    python = tmp_path / "python"
    python.symlink_to(sys.executable)
    engine = scripted.spec.engine.model_copy(update={"argv": (str(python), *scripted.spec.engine.argv[1:])})
    bring_up(scripted.runtime, scripted.spec.model_copy(update={"engine": engine}), silent)
    python.unlink()
    scripted.kill("engine")

    scripted.wait_until(lambda _: scripted.process("engine").restarts >= 2)
    python.symlink_to(sys.executable)

    scripted.wait_ready()


def test_a_first_start_that_fails_is_explained_and_leaves_the_proxy_answering_503(scripted: ScriptedDeployment) -> None:
    scripted.behave("die 3 /models/a.gguf is not a GGUF file")

    with pytest.raises(ModelFileError, match="not a GGUF file") as caught:
        bring_up(scripted.runtime, scripted.spec, silent)

    status = scripted.wait_until(lambda status: status.state is DeploymentState.FAILED)
    assert scripted.process("engine").identity is None
    assert scripted.process("engine").restarts == 0
    assert call_api(scripted.spec.url, "/generate", body={}, timeout_s=30).status == 503
    evidence = json.loads(next(scripted.evidence.glob("*-engine.json")).read_text(encoding="utf-8"))
    assert evidence["exit_code"] == 3
    assert "scout-engine: error: /models/a.gguf is not a GGUF file" in evidence["log"]
    assert status.failure is not None
    assert str(status.failure.evidence_file) in caught.value.evidence[-1]


def test_up_after_a_failed_start_tries_again(scripted: ScriptedDeployment) -> None:
    scripted.behave("die 3 broken")
    with pytest.raises(ModelFileError):
        bring_up(scripted.runtime, scripted.spec, silent)
    scripted.behave("serve")
    shown: list[Progress] = []

    bring_up(scripted.runtime, scripted.spec, shown.append)

    assert shown[0].detail == "the last start failed; starting again"
    assert scripted.status().state is DeploymentState.READY


def test_an_engine_that_is_never_ready_is_stopped_at_the_timeout(scripted: ScriptedDeployment) -> None:
    scripted.behave("hang")
    impatient = scripted.spec.model_copy(update={"start_timeout_s": 0.3})

    with pytest.raises(StartTimeoutError, match=r"not ready within 0\.3 s"):
        bring_up(scripted.runtime, impatient, silent)

    scripted.wait_until(lambda _: scripted.process("engine").identity is None)


def test_an_engine_that_was_ready_and_dies_again_and_again_is_retried_later_each_time(
    scripted: ScriptedDeployment,
) -> None:
    bring_up(scripted.runtime, scripted.spec, silent)
    scripted.behave("die 7 out of order")
    scripted.kill("engine")

    status = scripted.wait_until(lambda _: scripted.process("engine").restarts >= 3)

    assert status.state is DeploymentState.RECOVERING
    assert call_api(scripted.spec.url, "/generate", body={}, timeout_s=30).status == 503
    scripted.behave("serve")
    scripted.wait_ready()
