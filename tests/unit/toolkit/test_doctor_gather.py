"""What the doctor gathers from a machine, and the command as a user runs it."""

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from typer.testing import CliRunner

from scout_deploy.cli.app import create_app
from scout_deploy.containers.host import DockerHost
from scout_deploy.containers.observed import ObservedContainer
from scout_deploy.doctor.facts import DaemonMissed, DaemonSeen
from scout_deploy.doctor.gather import Daemon, clock_ahead_s, gather, registry_of
from scout_deploy.doctor.network import reach, reach_all
from scout_deploy.errors import DockerUnavailableError
from scout_deploy.profile.profile import Profile

# The network is not for unit tests: proxies of this kind are not tried.
QUIET = {"HTTPS_PROXY": "socks5://127.0.0.1:1"}
TGI = Profile.model_validate(
    {"engine": {"kind": "tgi", "version": "3.3.7"}, "model": {"id": "an/example"}, "hardware": {"gpu_count": 1}}
)
EMBEDDED = Profile.model_validate({"engine": {"kind": "embedded"}, "proxy": {"port": 65_000}})


class OneDaemon:
    """A Docker daemon with one deployment, whose clock stands."""

    def __init__(self, *, is_local: bool = True) -> None:
        self._is_local = is_local
        self.is_closed = False

    def facts(self) -> DockerHost:
        return DockerHost(
            address="unix:///d.sock", is_local=self._is_local, server_version="28.1.1", api_version="1.49"
        )

    def info(self) -> Mapping[str, object]:
        return {"SystemTime": "2023-07-20T09:41:46.116258384Z"}

    def containers(self, *labels: str) -> tuple[ObservedContainer, ...]:
        assert labels == ("scout.deployment",)
        one = {"scout.deployment": "chat", "scout.gpus": "2,3"}
        return (
            ObservedContainer(id="1", name="chat-engine-0", labels=one, status="running"),
            ObservedContainer(id="2", name="old-engine-0", labels={**one, "scout.gpus": "5"}, status="exited"),
        )

    def close(self) -> None:
        self.is_closed = True


def no_daemon(_: Mapping[str, str]) -> Daemon:
    raise DockerUnavailableError("nobody there", next_step="start it")


def test_a_missing_daemon_is_a_fact(tmp_path: Path) -> None:
    assert gather(QUIET, no_daemon, TGI, tmp_path).daemon == DaemonMissed(reason="nobody there", next_step="start it")


def test_a_daemon_that_docker_host_names_wrongly_is_not_to_be_installed(tmp_path: Path) -> None:
    daemon = gather({**QUIET, "DOCKER_HOST": "tcp://nowhere:1"}, no_daemon, TGI, tmp_path).daemon

    assert isinstance(daemon, DaemonMissed)
    assert "unset DOCKER_HOST" in str(daemon.next_step)


def test_the_gpus_of_running_deployments_are_known_by_their_labels(tmp_path: Path) -> None:
    daemon = OneDaemon()

    facts = gather(QUIET, lambda _: daemon, TGI, tmp_path)

    assert facts.taken == {2: "chat", 3: "chat"}
    assert daemon.is_closed


def test_nvidias_hook_is_looked_for_only_where_the_daemon_is(tmp_path: Path) -> None:
    hook = tmp_path / "usr/bin/nvidia-container-runtime-hook"
    hook.parent.mkdir(parents=True)
    hook.write_text("#!/bin/sh\n")
    hook.chmod(0o755)

    here = gather(QUIET, lambda _: OneDaemon(), TGI, tmp_path).daemon
    elsewhere = gather(QUIET, lambda _: OneDaemon(is_local=False), TGI, tmp_path).daemon

    assert isinstance(here, DaemonSeen)
    assert here.gpu_hook is True
    assert isinstance(elsewhere, DaemonSeen)
    assert elsewhere.gpu_hook is None


@pytest.mark.parametrize(
    ("system_time", "ahead_s"),
    # Of Docker (https://github.com/sourcegraph/src-cli/pull/1008) and of Podman
    # (https://github.com/podman-container-tools/podman/issues/19338).
    [("2023-07-20T09:41:46.116258384Z", 106.0), ("2024-07-31T18:52:32.959161107-07:00", None), ("", None)],
)
def test_the_daemons_clock_is_compared(system_time: str, ahead_s: float | None) -> None:
    now_s = datetime(2023, 7, 20, 9, 40, 0, 116258, tzinfo=UTC).timestamp()

    ahead = clock_ahead_s(system_time, now_s)

    if ahead_s is not None:
        assert ahead == pytest.approx(ahead_s)
    else:
        assert ahead is None or ahead > 86_400


@pytest.mark.parametrize(
    ("content", "expected"),
    [("flags\t\t: fpu sse2 avx avx2\n", True), ("flags\t\t: fpu sse2 avx\n", False), ("Features\t: asimd\n", None)],
)
def test_avx2_is_read_from_the_kernel(tmp_path: Path, content: str, expected: bool | None) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text(content)

    assert gather({}, no_daemon, EMBEDDED, tmp_path).embedded.has_avx2 is expected


def test_a_model_file_that_is_missing_is_named(tmp_path: Path) -> None:
    profile = Profile.model_validate({"engine": {"kind": "embedded"}, "model": {"path": str(tmp_path / "no.gguf")}})

    assert "no.gguf" in str(gather({}, no_daemon, profile, tmp_path).embedded.model_problem)


def test_a_token_counts_wherever_the_hubs_library_would_find_it(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path)}
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf/token").write_text("hf_example")

    assert not gather(home, no_daemon, EMBEDDED, tmp_path).has_token
    assert gather({**home, "HF_TOKEN": "hf_example"}, no_daemon, EMBEDDED, tmp_path).has_token
    assert gather({**home, "HF_HOME": str(tmp_path / "hf")}, no_daemon, EMBEDDED, tmp_path).has_token


def test_a_port_in_use_is_seen_with_its_holder(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        number = holder.getsockname()[1]
        profile = Profile.model_validate({"engine": {"kind": "embedded"}, "proxy": {"port": number}})

        port = gather({}, no_daemon, profile, tmp_path).port

    assert not port.is_free
    assert "pid" in str(port.holder)


@pytest.mark.parametrize(
    ("image", "registry"),
    [
        ("ghcr.io/huggingface/text-generation-inference:3.3.7", "ghcr.io"),
        ("registry.example:5000/tgi", "registry.example:5000"),
        ("localhost/tgi", "localhost"),
        ("somebody/tgi:1", "registry-1.docker.io"),
    ],
)
def test_the_registry_of_an_image_is_the_one_that_docker_asks(image: str, registry: str) -> None:
    assert registry_of(image) == registry


class Refusing(BaseHTTPRequestHandler):
    """A proxy that lets nobody through and remembers what it was asked."""

    asked: list[str]

    def do_CONNECT(self) -> None:
        self.asked.append(f"{self.path} {self.headers.get('Proxy-Authorization')}")
        self.send_error(403, "Forbidden")

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@contextmanager
def refusing_proxy() -> Iterator[tuple[int, list[str]]]:
    asked: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("One", (Refusing,), {"asked": asked}))
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port, asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_host_is_reached_through_the_users_proxy_whose_password_is_not_shown() -> None:
    with refusing_proxy() as (port, asked):
        tried = reach("ghcr.io", "TGI's image", {"HTTPS_PROXY": f"http://me:hunter2@127.0.0.1:{port}"})

    assert asked == ["ghcr.io:443 Basic bWU6aHVudGVyMg=="]
    assert tried.through == f"127.0.0.1:{port}"
    assert "403" in str(tried.problem)
    assert "hunter2" not in str(tried)


@pytest.mark.parametrize("address", ["http://user:secret@proxy:80a", "http://[::1"])
def test_a_proxy_that_is_no_address_is_said_at_once_and_not_shown(address: str) -> None:
    (found,) = reach_all([("hub.example", "the model")], {"HTTPS_PROXY": address}, overall_s=60)

    assert found.problem == "HTTPS_PROXY (or ALL_PROXY) holds no address"


def test_the_disk_of_the_weights_is_the_one_that_the_hubs_variables_name(tmp_path: Path) -> None:
    environment = {**QUIET, "HOME": str(tmp_path), "HF_HOME": str(tmp_path / "hf"), "HF_HUB_CACHE": str(tmp_path / "c")}

    disks = gather(environment, no_daemon, EMBEDDED, tmp_path).disks

    assert [disk.path for disk in disks] == [str(tmp_path / "c")]


@pytest.mark.parametrize("no_proxy", ["127.0.0.1", "10.0.0.1, 127.0.0.1", "*"])
def test_no_proxy_is_respected(no_proxy: str) -> None:
    with refusing_proxy() as (port, asked):
        environment = {"HTTPS_PROXY": f"http://127.0.0.1:{port}", "NO_PROXY": no_proxy}

        tried = reach(f"127.0.0.1:{port}", "the model", environment)

    assert tried.through is None
    assert not [line for line in asked if line.startswith("127.0.0.1")]
    assert "does not speak TLS" in str(tried.problem)


def test_nobody_listening_is_told_in_the_systems_words() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]

        assert reach(f"127.0.0.1:{port}", "the model", {}).problem == "Connection refused"


def test_a_host_that_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"127.0.0.1:{silent.getsockname()[1]}"

        (tried,) = reach_all([(host, "the model")], {}, overall_s=0.05)

        assert tried.problem == "no answer within 0.05 s"
        assert reach(host, "the model", {}, timeout_s=0.05).problem == "no answer within 0.05 s"


def test_the_command_prints_json_of_the_embedded_profile(tmp_path: Path) -> None:
    profile = tmp_path / "mine.yaml"
    profile.write_text("engine: {kind: embedded}\nproxy: {port: 64999}\n")

    result = CliRunner().invoke(create_app(), ["doctor", "--profile", str(profile), "--json"], catch_exceptions=False)

    document = json.loads(result.stdout)
    assert result.exit_code == 0
    assert (document["healthy"], document["works"]) == (True, {"embedded": True})
    assert {finding["check"]: finding["level"] for finding in document["findings"]}["embedded engine"] == "ok"


def test_a_profile_without_containers_does_not_wait_for_docker(tmp_path: Path) -> None:
    daemon = OneDaemon()

    gather({}, lambda _: daemon, EMBEDDED, tmp_path)

    assert not daemon.is_closed


def test_the_command_ends_with_1_where_docker_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    monkeypatch.setenv("HTTPS_PROXY", QUIET["HTTPS_PROXY"])

    result = CliRunner().invoke(create_app(), ["doctor", "--profile", "a100-4bit"], catch_exceptions=False)

    assert result.exit_code == 1
    assert result.stdout.startswith("problem  docker  ")
    assert "tcp://127.0.0.1:1" in result.stdout
    assert "Profile 'a100-4bit' cannot run here" in result.stdout


def test_the_command_ends_with_1_where_the_profile_cannot_run(tmp_path: Path) -> None:
    profile = tmp_path / "mine.yaml"
    profile.write_text(f"engine: {{kind: embedded}}\nmodel: {{path: {tmp_path}/no.gguf}}\n")

    result = CliRunner().invoke(create_app(), ["doctor", "--profile", str(profile)], catch_exceptions=False)

    assert result.exit_code == 1
    assert "problem  embedded engine  the model file does not exist" in result.stdout
    assert "cannot run here" in result.stdout
