"""A deployment of scripted parts, run by the real supervisor."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fakes.this_machine import unused_port
from scout_deploy.deployment import (
    PORT_PLACEHOLDER,
    DeploymentSpec,
    DeploymentState,
    DeploymentStatus,
    ProcessSpec,
    ProcessStatus,
)
from scout_deploy.runtimes.process_runtime import ProcessRuntime
from scout_deploy.xdg import UserDirectories
from scout_proxy.route_table import Identity, Limits, RouteTable, Serving

FAKES = Path(__file__).parent


@dataclass(frozen=True)
class ScriptedDeployment:
    """A runtime in a folder of its own, and a deployment whose engine does as it is told."""

    runtime: ProcessRuntime
    spec: DeploymentSpec
    behaviour: Path
    evidence: Path

    def behave(self, behaviour: str) -> None:
        """Say what the engine's next life does."""
        self.behaviour.write_text(behaviour, encoding="utf-8")

    def status(self) -> DeploymentStatus:
        status = self.runtime.store(self.spec.name).read_status()
        assert status is not None
        return status

    def wait_until(self, condition: Callable[[DeploymentStatus], bool], *, within_s: float = 60) -> DeploymentStatus:
        """Return the first status that fulfils the condition."""
        deadline = time.monotonic() + within_s
        last: DeploymentStatus | None = None
        while time.monotonic() < deadline:
            last = self.runtime.store(self.spec.name).read_status()
            if last is not None and condition(last):
                return last
            time.sleep(0.01)
        raise AssertionError(f"not so within {within_s} s; the last status was {last}")

    def process(self, role: str) -> ProcessStatus:
        return next(one for one in self.status().processes if one.role == role)

    def kill(self, role: str) -> int:
        """Kill a role's process and return its pid."""
        identity = self.process(role).identity
        assert identity is not None
        os.kill(identity.pid, signal.SIGKILL)
        return identity.pid

    def wait_ready(self) -> DeploymentStatus:
        return self.wait_until(lambda status: status.state is DeploymentState.READY)


def scripted_deployment(tmp_path: Path) -> Iterator[ScriptedDeployment]:
    """Make one that is declared and not started; take it down at the end."""
    directories = UserDirectories(state=tmp_path / "state", config=tmp_path / "config")
    runtime = ProcessRuntime(directories)
    name = "scripted"
    behaviour = tmp_path / "behaviour"
    behaviour.write_text("serve", encoding="utf-8")
    routes = runtime.store(name).routes
    python = (sys.executable, "-S")
    spec = DeploymentSpec(
        name=name,
        profile="scripted",
        settings={"proxy/port": "1"},
        engine_kind="embedded",
        host="127.0.0.1",
        port=unused_port(),
        proxy=ProcessSpec(
            role="proxy", argv=(*python, str(FAKES / "scripted_proxy.py"), str(routes), PORT_PLACEHOLDER)
        ),
        engine=ProcessSpec(
            role="engine", argv=(*python, str(FAKES / "scripted_engine.py"), str(behaviour), PORT_PLACEHOLDER)
        ),
        routes=RouteTable(
            revision=1,
            deployment=name,
            profile="scripted",
            identity=Identity(name="Scripted API", model="scripted"),
            serving=Serving(model_id="scripted", engine="embedded"),
            limits=Limits(drain_s=1),
        ),
        start_timeout_s=60,
    )
    yield ScriptedDeployment(runtime, spec, behaviour, directories.evidence / name)
    if runtime.store(name).exists():
        runtime.stop(name)
