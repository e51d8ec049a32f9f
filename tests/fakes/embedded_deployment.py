"""A real embedded deployment in directories of its own, driven by the command line as a user drives it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from scout_deploy.deployment_store import DeploymentStore
from scout_deploy.processes import ProcessIdentity, free_port, identify, is_alive, marked_processes
from scout_deploy.runtimes.process_runtime import ProcessRuntime
from scout_deploy.runtimes.supervisor import MARK_VARIABLE
from scout_deploy.xdg import user_directories

SCOUT_DEPLOY = str(Path(sys.executable).with_name("scout-deploy"))
COMMAND_TIMEOUT_S = 60.0
_TERMINAL_VARIABLES = {"COLUMNS", "FORCE_COLOR", "NO_COLOR", "TERM", "TTY_COMPATIBLE", "TTY_INTERACTIVE"}


def wait_until(condition: Callable[[], object], what: str, *, within_s: float = 10.0) -> None:
    """Look every few milliseconds until `condition` holds; fail with `what` where it does not in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s} s: {what}")
        time.sleep(0.01)


@dataclass(frozen=True)
class UserSpace:
    """One user's directories, and the command line in them."""

    folder: Path

    @property
    def environment(self) -> Mapping[str, str]:
        kept = {name: value for name, value in os.environ.items() if name not in _TERMINAL_VARIABLES}
        return kept | {"XDG_STATE_HOME": str(self.folder / "state"), "XDG_CONFIG_HOME": str(self.folder / "config")}

    @property
    def runtime(self) -> ProcessRuntime:
        return ProcessRuntime(user_directories(self.environment, self.folder))

    def run(self, *arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run `scout-deploy` to its end, its output in pipes."""
        return subprocess.run(
            [SCOUT_DEPLOY, *arguments],
            env={**self.environment, **(environment or {})},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `scout-deploy` and leave it running."""
        return subprocess.Popen(
            [SCOUT_DEPLOY, *arguments],
            env=self.environment,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


@dataclass(frozen=True)
class EmbeddedDeployment:
    """A deployment of that user: declared by `up`, observed from outside."""

    user: UserSpace
    name: str
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def store(self) -> DeploymentStore:
        return self.user.runtime.store(self.name)

    def up(self, *options: str) -> subprocess.CompletedProcess[str]:
        return self.user.run("up", "--name", self.name, "--port", str(self.port), *options)

    def down(self) -> subprocess.CompletedProcess[str]:
        return self.user.run("down", self.name)

    def processes(self) -> tuple[ProcessIdentity, ...]:
        """Return every living process that has this deployment's mark, whoever looks after it."""
        return marked_processes(MARK_VARIABLE, str(self.store.folder))

    def process(self, role: str) -> ProcessIdentity:
        """Return the supervisor, or the process of a role once it runs."""
        found: list[ProcessIdentity] = []

        def is_there() -> bool:
            status = self.store.read_status()
            if status is not None:
                kept = {one.role: one.identity for one in status.processes}
                identity = status.supervisor if role == "supervisor" else kept.get(role)
                if identity is not None and is_alive(identity):
                    found.append(identity)
            return bool(found)

        wait_until(is_there, f"{role} runs")
        return found[0]

    def kill(self, role: str) -> ProcessIdentity:
        """End a role's process with SIGKILL, and wait until it is gone."""
        identity = self.process(role)
        assert identify(identity.pid) == identity
        os.kill(identity.pid, signal.SIGKILL)
        wait_until(lambda: not is_alive(identity), f"{role} is gone")
        return identity

    def is_healthy(self) -> bool:
        try:
            return requests.get(f"{self.url}/health", timeout=5).ok
        except requests.ConnectionError:
            return False


@contextmanager
def embedded_deployment(user: UserSpace, name: str) -> Iterator[EmbeddedDeployment]:
    """Name a deployment on a free port, not started yet; whatever the block left of it is taken down."""
    deployment = EmbeddedDeployment(user, name, free_port("127.0.0.1"))
    try:
        yield deployment
    finally:
        if deployment.store.exists():
            deployment.down()
        assert deployment.processes() == ()


@contextmanager
def running_deployment(user: UserSpace, name: str, *options: str) -> Iterator[EmbeddedDeployment]:
    """Bring a deployment up for the length of a block."""
    with embedded_deployment(user, name) as deployment:
        started = deployment.up(*options)
        assert started.returncode == 0, started.stdout + started.stderr
        yield deployment
