"""The installed command `scout-deploy`, run as a user runs it, in a home of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from fakes.no_docker import without_docker
from fakes.this_machine import unused_port
from scout_deploy.deployment_store import MARK_VARIABLE
from scout_deploy.processes import ProcessIdentity, marked_processes

COMMAND = str(Path(sys.executable).parent / "scout-deploy")
TIMEOUT_S = 150


@dataclass(frozen=True)
class CommandLine:
    """Runs commands; `port` is free for this home's deployment.

    Args:
        prefix: What they are run through, such as `nsenter` and its options.
        variables: Of their environment, besides this process's.
    """

    home: Path
    port: int
    prefix: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "XDG_STATE_HOME": str(self.home / "state"),
            "XDG_CONFIG_HOME": str(self.home / "config"),
            **self.variables,
        }

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def run(self, *arguments: str, variables: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command to its end.

        Raises:
            AssertionError: It did not end in time; says what it had printed.
        """
        try:
            return subprocess.run(
                [*self.prefix, COMMAND, *arguments],
                env={**self.environment, **(variables or {})},
                cwd=self.home,
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as exc:
            raise AssertionError(f"{exc}; it printed {exc.stdout!r} and {exc.stderr!r}") from exc

    def start(self, *arguments: str, variables: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start a command and do not wait for it."""
        return subprocess.Popen(
            [*self.prefix, COMMAND, *arguments],
            env={**self.environment, **(variables or {})},
            cwd=self.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def up(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Start the default deployment on this home's port; it has to work."""
        result = self.run("up", "--port", str(self.port), *arguments)
        assert result.returncode == 0, result.stdout + result.stderr
        return result

    def deployments(self) -> list[str]:
        """Name what was declared and not taken down, without asking the product."""
        return [folder.name for folder in (self.home / "state/scout-deploy/deployments").glob("[!.]*")]

    def processes(self, name: str = "scout") -> tuple[ProcessIdentity, ...]:
        """Return every living process with a deployment's mark, whoever looks after it."""
        folder = self.home / "state/scout-deploy/deployments" / name
        return marked_processes(MARK_VARIABLE, str(folder))

    def proxy_status(self) -> dict[str, Any]:
        """Return what the proxy itself says, which costs less time than a command."""
        status: dict[str, Any] = requests.get(f"{self.url}/status", timeout=10).json()
        return status

    def status(self) -> dict[str, Any]:
        """Return what `status --json` says of the only deployment."""
        (deployment,) = json.loads(self.run("status", "--json").stdout)["deployments"]
        assert isinstance(deployment, dict)
        return deployment

    def pid(self, role: str) -> int | None:
        """Return the pid of a role's process, None while it is down.

        From the supervisor's file: an engine is ready sooner than a command has answered.
        """
        status = json.loads((self.home / "state/scout-deploy/deployments/scout/status.json").read_bytes())
        processes = status["processes"]
        identity = next(process["identity"] for process in processes if process["role"] == role)
        return None if identity is None else int(identity["pid"])


@contextmanager
def command_line(home: Path) -> Iterator[CommandLine]:
    """Give a command line with an empty home, and take down whatever runs there at the end."""
    cli = CommandLine(home, unused_port(), variables=without_docker(home))
    try:
        yield cli
    finally:
        for name in cli.deployments():
            cli.run("down", name)
