"""`up` and `down` over real processes: starts, repeated and refused ones, interruptions, ends."""

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from fakes.scripted_deployment import ScriptedDeployment
from scout_deploy.api_client import call_api
from scout_deploy.bring_up import bring_up
from scout_deploy.deployment import DeploymentSpec, DeploymentState
from scout_deploy.deployment_store import MARK_VARIABLE
from scout_deploy.errors import (
    DeploymentBusyError,
    DeploymentChangedError,
    PortInUseError,
    StateError,
)
from scout_deploy.processes import ProcessIdentity, is_alive, marked_processes
from scout_deploy.progress import Progress
from scout_deploy.runtimes.process_runtime import ProcessRuntime
from scout_deploy.xdg import UserDirectories
from scout_proxy.route_table import UpstreamState, read_route_table


def silent(_: Progress) -> None:
    """Show nothing."""


def test_up_shows_the_phases_and_returns_when_the_first_generation_worked(scripted: ScriptedDeployment) -> None:
    shown: list[Progress] = []

    result = bring_up(scripted.runtime, scripted.spec, shown.append)

    assert not result.was_running
    assert shown[-1].phase == "first generation"
    assert call_api(scripted.spec.url, "/generate", body={}, timeout_s=30).status == 200
    assert scripted.status().state is DeploymentState.READY
    (upstream,) = read_route_table(scripted.runtime.store(scripted.spec.name).routes).upstreams
    assert (upstream.state, upstream.phase) == (UpstreamState.RUNNING, None)


def test_up_again_is_a_no_op_that_says_so(scripted: ScriptedDeployment) -> None:
    bring_up(scripted.runtime, scripted.spec, silent)
    before = scripted.status()

    result = bring_up(scripted.runtime, scripted.spec, silent)

    assert result.was_running
    assert scripted.status() == before


def test_up_again_says_when_what_runs_does_not_serve(scripted: ScriptedDeployment) -> None:
    bring_up(scripted.runtime, scripted.spec, silent)
    scripted.behave("hang")
    scripted.kill("engine")
    scripted.wait_until(lambda status: status.state is DeploymentState.RECOVERING)
    shown: list[Progress] = []

    result = bring_up(scripted.runtime, scripted.spec, shown.append)

    assert result.was_running
    assert [one.phase for one in shown] == ["note"]
    assert "being started again" in str(shown[0].detail)


def test_up_with_another_profile_says_what_differs_and_changes_nothing(scripted: ScriptedDeployment) -> None:
    bring_up(scripted.runtime, scripted.spec, silent)
    before = scripted.status()
    changed = scripted.spec.model_copy(update={"settings": {"proxy/port": "2", "replicas": "1"}})

    with pytest.raises(DeploymentChangedError) as caught:
        bring_up(scripted.runtime, changed, silent)

    assert caught.value.evidence == ("proxy/port: 1 -> 2", "replicas: (not set) -> 1")
    assert scripted.status() == before


def test_down_leaves_nothing_behind(scripted: ScriptedDeployment) -> None:
    bring_up(scripted.runtime, scripted.spec, silent)
    before = scripted.runtime.observe(scripted.spec.name)

    orphans = scripted.runtime.stop(scripted.spec.name)

    assert orphans == ()
    assert len(before.processes) == 3
    assert not any(is_alive(one) for one in before.processes)
    assert scripted.runtime.names() == ()
    assert not scripted.runtime.store(scripted.spec.name).folder.exists()


def test_down_leaves_nothing_behind_after_a_killed_supervisor(scripted: ScriptedDeployment) -> None:
    bring_up(scripted.runtime, scripted.spec, silent)
    os.kill(scripted.status().supervisor.pid, signal.SIGKILL)
    os.waitpid(scripted.status().supervisor.pid, 0)
    left = scripted.runtime.observe(scripted.spec.name)

    orphans = scripted.runtime.stop(scripted.spec.name)

    assert not left.supervised
    assert len(left.processes) == 2
    assert {one.pid for one in orphans} == {one.pid for one in left.processes}
    assert not any(is_alive(one) for one in left.processes)


def test_up_after_a_killed_supervisor_starts_again(scripted: ScriptedDeployment) -> None:
    bring_up(scripted.runtime, scripted.spec, silent)
    old = scripted.status()
    os.kill(old.supervisor.pid, signal.SIGKILL)
    os.waitpid(old.supervisor.pid, 0)
    shown: list[Progress] = []

    result = bring_up(scripted.runtime, scripted.spec, shown.append)

    assert not result.was_running
    assert shown[0].phase == "note"
    assert "its supervisor is gone" in str(shown[0].detail)
    assert not any(one.identity is not None and is_alive(one.identity) for one in old.processes)


def test_a_taken_port_names_who_has_it(scripted: ScriptedDeployment) -> None:
    with socket.create_server(("127.0.0.1", scripted.spec.port)), pytest.raises(PortInUseError) as caught:
        bring_up(scripted.runtime, scripted.spec, silent)

    assert f"pid {os.getpid()}" in caught.value.message
    assert scripted.runtime.names() == ()


def test_two_ups_at_once_are_told_apart(scripted: ScriptedDeployment) -> None:
    with (
        scripted.runtime.changing(scripted.spec.name, "up"),
        pytest.raises(DeploymentBusyError, match=f"scout-deploy up .pid {os.getpid()}"),
    ):
        bring_up(scripted.runtime, scripted.spec, silent)


def test_a_state_directory_that_cannot_be_written_says_which(
    scripted: ScriptedDeployment, tmp_path_factory: pytest.TempPathFactory
) -> None:
    occupied = tmp_path_factory.mktemp("occupied") / "file"
    occupied.write_text("not a directory", encoding="utf-8")
    runtime = ProcessRuntime(UserDirectories(state=occupied, config=occupied))

    with pytest.raises(StateError, match=str(occupied)) as caught:
        bring_up(runtime, scripted.spec, silent)

    assert "XDG_STATE_HOME" in str(caught.value.next_step)


def test_ctrl_c_takes_back_what_was_begun(scripted: ScriptedDeployment) -> None:
    scripted.behave("hang")

    def interrupt(progress: Progress) -> None:
        if progress.phase == "load":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bring_up(scripted.runtime, scripted.spec, interrupt)

    assert scripted.runtime.names() == ()
    assert not scripted.runtime.store(scripted.spec.name).folder.exists()


def test_a_port_that_another_deployment_was_quicker_to_take_is_not_mistaken_for_ours(
    scripted: ScriptedDeployment,
) -> None:
    bring_up(scripted.runtime, scripted.spec, silent)
    late = scripted.spec.model_copy(update={"name": "late"})
    store = scripted.runtime.store(late.name)
    # As `up` does, whose look at the port came a moment too early.
    scripted.runtime.start(late)
    try:
        status = scripted.wait_until(
            lambda _: (seen := store.read_status()) is not None and seen.state is not DeploymentState.STARTING
        )

        assert status.state is DeploymentState.READY
        assert (seen := store.read_status()) is not None
        assert seen.state is DeploymentState.FAILED
    finally:
        scripted.runtime.stop(late.name)


def test_a_proxy_that_cannot_have_its_port_is_told_from_an_engine_that_died(scripted: ScriptedDeployment) -> None:
    proxy = scripted.spec.proxy.model_copy(update={"argv": (sys.executable, "-S", "-c", "raise SystemExit(4)")})

    with pytest.raises(PortInUseError, match="the proxy exited with status 4 before it could answer"):
        bring_up(scripted.runtime, scripted.spec.model_copy(update={"proxy": proxy}), silent)


def test_a_deployment_keeps_nothing_open_that_its_caller_had_open(scripted: ScriptedDeployment) -> None:
    ours, private = os.pipe()
    inherited = os.dup2(private, os.dup(private))

    scripted.runtime.start(scripted.spec)
    os.close(private)
    os.close(inherited)

    assert select.select([ours], [], [], 30)[0] == [ours]
    os.close(ours)


def test_down_also_ends_what_is_started_while_it_ends_the_rest(scripted: ScriptedDeployment) -> None:
    store = scripted.runtime.store(scripted.spec.name)
    store.create()
    store.write_spec(scripted.spec)
    child = "import signal; signal.pause()"
    code = f"""
import signal, subprocess, sys
def leave(*_):
    subprocess.Popen([sys.executable, "-S", "-c", {child!r}], start_new_session=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
print("up", flush=True)
signal.pause()
"""
    environment = {**os.environ, MARK_VARIABLE: str(store.folder)}
    command = [sys.executable, "-S", "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()

        orphans = scripted.runtime.stop(scripted.spec.name)

    assert len(orphans) == 2
    assert marked_processes(MARK_VARIABLE, str(store.folder)) == ()


def test_a_state_directory_that_cannot_be_read_says_which(tmp_path: Path) -> None:
    directories = UserDirectories(state=tmp_path, config=tmp_path)
    directories.deployments.write_text("not a directory", encoding="utf-8")

    with pytest.raises(StateError, match=str(directories.deployments)):
        ProcessRuntime(directories).names()


def test_a_supervisor_that_cannot_write_what_it_sees_does_not_keep_up_waiting(scripted: ScriptedDeployment) -> None:
    scripted.behave("hang")
    folder = scripted.runtime.store(scripted.spec.name).folder
    aside = folder.with_name("aside")

    def take_away(progress: Progress) -> None:
        if progress.phase == "load":
            folder.rename(aside)

    with pytest.raises(StateError, match=str(folder)):
        bring_up(scripted.runtime, scripted.spec, take_away)

    aside.rename(folder)


def test_a_broken_declaration_of_another_deployment_does_not_hide_who_has_the_port(
    scripted: ScriptedDeployment,
) -> None:
    other = scripted.runtime.store("other").folder
    other.mkdir(parents=True)
    (other / "deployment.json").write_text("{}", encoding="utf-8")

    with socket.create_server(("127.0.0.1", scripted.spec.port)), pytest.raises(PortInUseError):
        bring_up(scripted.runtime, scripted.spec, silent)


class InterruptedRuntime(ProcessRuntime):
    """One whose user presses Ctrl-C just when the supervisor was started, and again when it is being stopped."""

    is_impatient = True

    def stop(self, name: str) -> tuple[ProcessIdentity, ...]:
        if self.is_impatient:
            self.is_impatient = False
            raise KeyboardInterrupt
        return super().stop(name)

    def start(self, spec: DeploymentSpec, secret_files: Mapping[str, str] | None = None) -> ProcessIdentity | None:
        super().start(spec, secret_files)
        raise KeyboardInterrupt


def test_ctrl_c_at_the_very_start_and_again_takes_back_what_was_begun(
    scripted: ScriptedDeployment, tmp_path: Path
) -> None:
    directories = UserDirectories(state=tmp_path / "state", config=tmp_path / "config")
    folder = scripted.runtime.store(scripted.spec.name).folder

    with pytest.raises(KeyboardInterrupt):
        bring_up(InterruptedRuntime(directories), scripted.spec, silent)

    assert marked_processes(MARK_VARIABLE, str(folder)) == ()
    assert not folder.exists()


def test_a_deployment_is_found_by_another_way_to_its_folder(scripted: ScriptedDeployment, tmp_path: Path) -> None:
    bring_up(scripted.runtime, scripted.spec, silent)
    os.kill(scripted.status().supervisor.pid, signal.SIGKILL)
    os.waitpid(scripted.status().supervisor.pid, 0)
    (tmp_path / "link").symlink_to(tmp_path / "state")
    by_link = ProcessRuntime(UserDirectories(state=tmp_path / "link", config=tmp_path / "config"))

    orphans = by_link.stop(scripted.spec.name)

    assert len(orphans) == 2
