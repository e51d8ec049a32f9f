"""One deployment of containers, driven by the installed command as a user drives it, with a profile and weights."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess, Popen
from typing import Any

import docker
import requests
from docker.models.containers import Container

from fakes.command_line import CommandLine
from fakes.docker_leftovers import DEPLOYMENT_LABEL

_POLL_S = 0.1
_PATIENCE_S = 120.0


@dataclass(frozen=True, kw_only=True)
class ContainerCase:
    """A deployment's name, its profile's file, and what is run with them."""

    cli: CommandLine
    name: str
    profile: Path
    docker: docker.DockerClient

    @property
    def evidence_folder(self) -> Path:
        return self.cli.home / "state/scout-deploy/evidence" / self.name

    def up(self, *arguments: str, variables: Mapping[str, str] | None = None) -> CompletedProcess[str]:
        return self.cli.run(*self._up(arguments), variables=variables)

    def start_up(self, *arguments: str, variables: Mapping[str, str] | None = None) -> Popen[str]:
        """Begin `up` and do not wait for it."""
        return self.cli.start(*self._up(arguments), variables=variables)

    def up_works(self, *arguments: str, variables: Mapping[str, str] | None = None) -> CompletedProcess[str]:
        result = self.up(*arguments, variables=variables)
        assert result.returncode == 0, result.stdout + result.stderr
        return result

    def _up(self, arguments: tuple[str, ...]) -> tuple[str, ...]:
        return ("up", "--profile", str(self.profile), "--name", self.name, *arguments)

    def run(self, command: str, *arguments: str, variables: Mapping[str, str] | None = None) -> CompletedProcess[str]:
        """Run a command about this deployment."""
        return self.cli.run(command, self.name, *arguments, variables=variables)

    def diagnosed(self) -> list[dict[str, Any]]:
        """Return the deaths that `diagnose --json` tells of."""
        result = self.run("diagnose", "--json")
        assert result.returncode == 0, result.stdout + result.stderr
        deaths: list[dict[str, Any]] = json.loads(result.stdout)["deaths"]
        return deaths

    def status(self) -> dict[str, Any]:
        """Return what `status --json` says of this deployment."""
        result = self.run("status", "--json")
        assert result.returncode == 0, result.stdout + result.stderr
        (deployment,) = json.loads(result.stdout)["deployments"]
        assert isinstance(deployment, dict)
        return deployment

    def containers(self) -> list[Container]:
        """Return what is there, without asking the product."""
        return self.docker.containers.list(
            all=True, filters={"label": f"{DEPLOYMENT_LABEL}={self.name}"}, ignore_removed=True
        )

    def container(self, part: str = "engine-1-0") -> Container:
        return self.docker.containers.get(f"scout-{self.name}-{part}")

    def get(self, path: str) -> requests.Response:
        return requests.get(f"{self.cli.url}{path}", timeout=60)

    def generate(self) -> requests.Response:
        """Ask for a generation of its own: what the proxy has kept it would answer without any engine."""
        body, fresh = {"prompt": "Tell me about the sea.", "max_length": 4}, {"Cache-Control": "no-cache"}
        return requests.post(f"{self.cli.url}/generate", json=body, headers=fresh, timeout=60)

    def evidence(self) -> dict[str, Any]:
        """Return the newest file of evidence."""
        facts: dict[str, Any] = json.loads(max(self.evidence_folder.glob("*.json")).read_text(encoding="utf-8"))
        return facts


def events_of(result: CompletedProcess[str]) -> list[dict[str, Any]]:
    """Return the events that `--json` printed, one on each line."""
    return [json.loads(line) for line in result.stdout.splitlines()]


def refuses_with_503(case: ContainerCase) -> bool:
    """Whether health and a generation are both refused for now."""
    try:
        health, generation = case.get("/health"), case.generate()
    except requests.ConnectionError:
        # The engine may have died before the proxy listened.
        return False
    return (health.status_code, generation.status_code) == (503, 503) and all(
        int(answer.headers["Retry-After"]) >= 1 for answer in (health, generation)
    )


def wait_until(what: Callable[[], bool], *, patience_s: float = _PATIENCE_S) -> None:
    """Wait until it holds.

    Raises:
        AssertionError: It does not, in time.
    """
    end = time.monotonic() + patience_s
    while not what():
        assert time.monotonic() < end, f"this does not hold after {patience_s:g} s"
        time.sleep(_POLL_S)


def write_profile(
    path: Path, *, model: str, image: str, base_image: str, port: int, hardware: str = "cpu_only: true", more: str = ""
) -> Path:
    """Write a profile; `more` is further sections of it, `model` and `hardware` are one line of YAML each."""
    path.write_text(
        f"model: {{{model}}}\n"
        f"engine: {{kind: tgi, version: 3.3.7, image: '{image}', context_length: 2048}}\n"
        f"hardware: {{{hardware}}}\n"
        f"proxy: {{base_image: '{base_image}', port: {port}}}\n"
        f"{more}",
        encoding="utf-8",
    )
    return path


@contextmanager
def container_case(
    home: Path, name: str, profile: Path, port: int, client: docker.DockerClient
) -> Iterator[ContainerCase]:
    """Give a deployment that is not up yet, and take down whatever is there at the end."""
    case = ContainerCase(cli=CommandLine(home, port), name=name, profile=profile, docker=client)
    try:
        yield case
    finally:
        if case.containers():
            case.run("down")
