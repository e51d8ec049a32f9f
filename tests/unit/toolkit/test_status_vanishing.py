"""`status` without a name, while a daemon's containers go away under its eyes."""

import json
import os
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from typer.testing import CliRunner

from scout_deploy.cli.app import create_app
from scout_deploy.containers import labels
from scout_deploy.errors import DeploymentNotFoundError
from scout_deploy.runtimes.docker_engine import DockerEngine

RUNNING = json.loads(
    (Path(__file__).parents[2] / "data/docker_answers/inspect-running.json").read_text(encoding="utf-8")
)
GOING = "RWLayer of container 1f2e is unexpectedly nil"


class Daemon(BaseHTTPRequestHandler):
    """Lists `gone`, `going` and `kept`: of the first nothing is left when it is asked for, the second is removed now.

    `broken` may be in the list too: the daemon has an error of its own for it.
    """

    protocol_version = "HTTP/1.1"
    listed: tuple[str, ...] = ("gone", "going", "kept")

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        path = "/" + address.path.lstrip("/").partition("/")[2] if address.path.startswith("/v1") else address.path
        filters = json.loads(parse_qs(address.query).get("filters", ["{}"])[0])
        status, body = self.answer(path, "".join(filters.get("label", ())))
        content = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def answer(self, path: str, label: str) -> tuple[int, Any]:
        own = {f"{labels.DEPLOYMENT}={name}" for name in self.listed}
        found = [name for name in self.listed if label in {labels.DEPLOYMENT, f"{labels.DEPLOYMENT}={name}"}]
        answers: dict[str, tuple[int, Any]] = {
            "/version": (200, {"ApiVersion": "1.41", "Version": "20.10"}),
            "/info": (200, {"CgroupVersion": "2", "MemoryLimit": True, "CgroupDriver": "systemd"}),
            # What vanishes is in the list of all that is there, and not when it is asked for by its own name.
            "/networks": (200, [self.thing(name) for name in self.listed if label not in own]),
            "/volumes": (200, {"Volumes": []}),
            "/containers/json": (200, [{"Id": name} for name in found]),
            "/containers/kept/json": (200, self.container("kept")),
            "/containers/broken/json": (200, self.container("broken")),
            "/containers/going/json": (500, {"message": GOING}),
            "/containers/scout-broken-proxy/archive": (500, {"message": "input/output error"}),
            # Docker answers nothing where the container ends meanwhile.
            "/containers/kept/stats": (200, None),
            "/containers/broken/stats": (200, None),
        }
        return answers.get(path, (404, {"message": "No such container"}))

    def thing(self, name: str) -> dict[str, Any]:
        return {"Name": f"scout-{name}", "Labels": {labels.DEPLOYMENT: name}}

    def container(self, name: str) -> dict[str, Any]:
        own = {
            labels.DEPLOYMENT: name,
            labels.ROLE: "engine",
            labels.PROFILE: "embedded",
            labels.SETTINGS: labels.write_settings({"replicas": "1"}),
        }
        return {**RUNNING, "Id": name, "Name": f"/{name}", "Config": {**RUNNING["Config"], "Labels": own}}

    def log_message(self, format: str, *args: object) -> None:
        del format, args


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Daemon]]:
    """A played daemon, which is the one that the commands ask."""
    played = type("Played", (Daemon,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), played) as server:
        Thread(target=server.serve_forever).start()
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{server.server_address[1]}")
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
        yield played
        server.shutdown()


def shown(*arguments: str) -> list[tuple[str, str]]:
    result = CliRunner().invoke(create_app(), ["status", "--json", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return [(one["name"], one["state"]) for one in json.loads(result.stdout)["deployments"]]


@pytest.mark.usefixtures("daemon")
def test_what_vanished_between_listing_and_looking_is_skipped() -> None:
    assert [name for name, _ in shown()] == ["kept"]


def test_nothing_runs_where_everything_vanished(daemon: type[Daemon]) -> None:
    daemon.listed = ("gone",)

    assert "Nothing is running." in CliRunner().invoke(create_app(), ["status"], catch_exceptions=False).stdout


@pytest.mark.usefixtures("daemon")
def test_one_that_was_named_is_missed() -> None:
    result = CliRunner().invoke(create_app(), ["status", "gone"])

    assert isinstance(result.exception, DeploymentNotFoundError)


def test_one_that_the_daemon_fails_on_does_not_hide_the_others(daemon: type[Daemon]) -> None:
    daemon.listed = ("broken", "kept")

    states = dict(shown())

    assert list(states) == ["broken", "kept"]
    assert states["broken"] == "unreadable" != states["kept"]


@pytest.mark.usefixtures("daemon")
def test_memory_of_a_container_that_ends_meanwhile_is_not_the_daemons_silence() -> None:
    engine = DockerEngine.connect(os.environ)

    assert engine.memory_bytes("kept") is None
    engine.close()
