"""The Docker daemon: every request that the product makes of it. The only file of this room that imports `docker`.

Answers are this product's own values; errors are `DockerUnavailableError`, `NotThereError`, `NameTakenError` and
`DaemonRefusedError`, never the library's.
"""

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import docker
import requests
from docker.context import ContextAPI
from docker.utils import parse_repository_tag
from urllib3.exceptions import HTTPError

from scout_deploy.containers.host import DockerHost
from scout_deploy.containers.observed import ObservedContainer, observed
from scout_deploy.containers.spec import ContainerSpec
from scout_deploy.errors import DockerUnavailableError
from scout_deploy.runtimes.docker_address import DEFAULT_ADDRESS, DockerAddress, address_of_environment
from scout_deploy.runtimes.docker_answers import ExecResult, LogStream, host_of, memory_of
from scout_deploy.runtimes.docker_archive import LinkTo, archive_of, read_archive
from scout_deploy.runtimes.docker_errors import (
    DaemonRefusedError,
    NameTakenError,
    NotThereError,
    check_api,
    is_going,
    unavailable,
)
from scout_deploy.runtimes.docker_images import DockerImages
from scout_deploy.runtimes.docker_payload import create_payload

_TIMEOUT_S = 60
_NOT_FOUND, _CONFLICT = 404, 409
_MOST_LINKS = 8


class DockerEngine(DockerImages):
    """One daemon. Nothing is asked of it before the first call."""

    _api: docker.APIClient

    def __init__(self, client: docker.DockerClient, address: DockerAddress) -> None:
        self._api = client.api
        self.address = address

    @classmethod
    def connect(cls, environment: Mapping[str, str]) -> "DockerEngine":
        """Open the daemon that Docker's own command would use: DOCKER_HOST, else the current context.

        Raises:
            DockerUnavailableError: There is none, or this user may not use it.
        """
        address = daemon_address(environment)
        try:
            if (socket := address.socket) is not None:
                # The library leaks its own socket where there is nothing to connect to.
                socket.stat()
            client = _open(address, environment)
        except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as exc:
            raise unavailable(address, exc) from exc
        check_api(address, client.api.api_version)
        return cls(client, address)

    def close(self) -> None:
        """Close the connections."""
        self._api.close()

    def facts(self) -> DockerHost:
        """Return what the daemon says of itself."""
        with self._translated():
            info, version = self._api.info(), self._api.version()
        return host_of(self.address, info, version)

    def info(self) -> dict[str, Any]:
        """Return the daemon's whole answer to `docker info`."""
        with self._translated():
            answer: dict[str, Any] = self._api.info()
        return answer

    # Images: see also `DockerImages`

    def pull(self, reference: str) -> Iterator[dict[str, Any]]:
        """Pull an image; yields the daemon's events. An event with `error` is the last one.

        Raises:
            DaemonRefusedError: The registry, or the daemon, refused; its text says why.
        """
        repository, tag = parse_repository_tag(reference)
        with self._translated():
            yield from self._api.pull(repository, tag=tag or "latest", stream=True, decode=True)

    # Networks and volumes

    def create_network(self, name: str, labels: Mapping[str, str]) -> None:
        """Make a bridge network of this name.

        Raises:
            NameTakenError: There is one.
        """
        with self._translated():
            self._api.create_network(name, driver="bridge", labels=dict(labels), check_duplicate=True)

    def network_labels(self, name: str) -> dict[str, str] | None:
        """Return the labels of a network, or None if there is none of that name."""
        with self._translated():
            found = [one for one in self._api.networks(names=[name]) if one.get("Name") == name]
        return dict(found[0].get("Labels") or {}) if found else None

    def networks(self, label: str) -> dict[str, dict[str, str]]:
        """Return name and labels of every network with this label."""
        with self._translated():
            found = self._api.networks(filters={"label": label})
        return {one["Name"]: dict(one.get("Labels") or {}) for one in found}

    def remove_network(self, name: str) -> None:
        """Remove a network, if it is there."""
        with contextlib.suppress(NotThereError), self._translated():
            self._api.remove_network(name)

    def create_volume(self, name: str, labels: Mapping[str, str]) -> None:
        """Make a volume of this name; one that is there stays as it is."""
        with self._translated():
            self._api.create_volume(name, labels=dict(labels))

    def volumes(self, label: str) -> dict[str, dict[str, str]]:
        """Return name and labels of every volume with this label."""
        with self._translated():
            found = self._api.volumes(filters={"label": label}).get("Volumes") or ()
        return {one["Name"]: dict(one.get("Labels") or {}) for one in found}

    def volume_labels(self, name: str) -> dict[str, str] | None:
        """Return the labels of a volume, or None if there is none of that name."""
        try:
            with self._translated():
                return dict(self._api.inspect_volume(name).get("Labels") or {})
        except NotThereError:
            return None

    def remove_volume(self, name: str) -> None:
        """Remove a volume, if it is there."""
        with contextlib.suppress(NotThereError), self._translated():
            self._api.remove_volume(name)

    # Containers

    def create(self, spec: ContainerSpec, *, network: str | None) -> str:
        """Create a container and return its id.

        Raises:
            NameTakenError: Another container has the name.
            NotThereError: The image is not there.
            DaemonRefusedError: It cannot be made so.
        """
        with self._translated():
            answer = self._api.create_container_from_config(  # type: ignore[no-untyped-call]  # the stubs leave it out
                create_payload(spec, network), name=spec.name
            )
        return str(answer["Id"])

    def start(self, container: str) -> None:
        """Start a container.

        Raises:
            DaemonRefusedError: A port is taken, a device is missing, the command cannot run.
        """
        with self._translated():
            self._api.start(container)

    def stop(self, container: str, *, timeout_s: int) -> None:
        """Ask it to end and wait; it is killed after `timeout_s`. One that is gone is fine."""
        with contextlib.suppress(NotThereError), self._translated():
            self._api.stop(container, timeout=timeout_s)

    def remove(self, container: str) -> None:
        """Remove a container, whatever it does; one that is gone, or going, is fine."""
        with contextlib.suppress(NotThereError, NameTakenError), self._translated():
            self._api.remove_container(container, force=True, v=True)

    def restart_always(self, container: str) -> None:
        """Let the daemon start it again whenever it ends, until an operator stops it."""
        with self._translated():
            self._api.update_container(container, restart_policy=_policy("unless-stopped"))

    def restart_never(self, container: str) -> None:
        """Let it be when it ends."""
        with self._translated():
            self._api.update_container(container, restart_policy=_policy("no"))

    def rename(self, container: str, name: str) -> None:
        """Give a container another name."""
        with self._translated():
            self._api.rename(container, name)

    def inspect(self, container: str) -> ObservedContainer:
        """Return what is known of a container, by its name or id.

        Raises:
            NotThereError: There is none.
        """
        return observed(self.inspect_raw(container))

    def inspect_raw(self, container: str) -> dict[str, Any]:
        """Return the daemon's whole answer to `docker inspect`."""
        with self._translated():
            answer: dict[str, Any] = self._api.inspect_container(container)
        return answer

    def containers(self, *labels: str) -> tuple[ObservedContainer, ...]:
        """Return every container, running or not, that has all these labels (`name` or `name=value`)."""
        return self._found({"label": list(labels)})

    def containers_with_volume(self, volume: str) -> tuple[ObservedContainer, ...]:
        """Return every container, running or not, that mounts this volume."""
        return self._found({"volume": [volume]})

    def _found(self, filters: dict[str, list[str]]) -> tuple[ObservedContainer, ...]:
        with self._translated():
            found = self._api.containers(all=True, filters=filters)
        seen = []
        for one in found:
            # It may go away between the two questions.
            with contextlib.suppress(NotThereError):
                seen.append(self.inspect(one["Id"]))
        return tuple(sorted(seen, key=lambda container: container.name))

    def memory_bytes(self, container: str) -> int | None:
        """Return the memory that a running container takes, caches not counted, as `docker stats` does."""
        # The daemon says nothing at all of one that ends while it is measured.
        nothing = contextlib.suppress(requests.exceptions.JSONDecodeError)
        with contextlib.suppress(NotThereError), self._translated(), nothing:
            return memory_of(self._api.stats(container, stream=False, one_shot=True))
        return None

    def exec(self, container: str, argv: tuple[str, ...]) -> ExecResult:
        """Run a command inside a running container and wait for it.

        Raises:
            NotThereError: There is no such container.
            DaemonRefusedError: It does not run, or has no such command.
        """
        with self._translated():
            made = self._api.exec_create(container, list(argv))
            output = self._api.exec_start(made["Id"])
            code = self._api.exec_inspect(made["Id"]).get("ExitCode")
        return ExecResult(code=-1 if code is None else code, output=output.decode("utf-8", "replace"))

    def put_file(
        self, container: str, folder: str, name: str, content: bytes, *, mode: int = 0o644, uid: int = 0
    ) -> None:
        """Write a file into a container, running or not; `folder` has to be there."""
        archive = archive_of(name, content, mode=mode, uid=uid)
        with self._translated():
            self._api.put_archive(container, folder, archive)

    def get_file(self, container: str, path: str) -> bytes | None:
        """Read a file out of a container, running or not, through links; None if it is not there."""
        for _ in range(_MOST_LINKS):
            try:
                with self._translated():
                    stream, _ = self._api.get_archive(container, path)
                    archive = b"".join(stream)
            except NotThereError:
                return None
            content = read_archive(archive, path)
            if not isinstance(content, LinkTo):
                return content
            path = content.path
        return None

    def log(self, container: str, *, tail: int | None = None, since_s: float | None = None) -> bytes:
        """Return the container's log up to now, each line behind Docker's time stamp."""
        with self._translated():
            text: bytes = self._api.logs(
                container,
                timestamps=True,
                stream=False,
                follow=False,
                tail="all" if tail is None else tail,
                since=since_s,
            )
        return text

    def follow_log(self, container: str, *, tail: int | None = None, since_s: float | None = None) -> LogStream:
        """Return the container's log as it grows, each line behind Docker's time stamp; it ends with the container."""
        with self._translated():
            stream = self._api.logs(
                container,
                timestamps=True,
                stream=True,
                follow=True,
                tail="all" if tail is None else tail,
                since=since_s,
            )
        return LogStream(chunks=self._stream(stream), close=stream.close)

    def ends(self, container: str, *, since_s: float) -> tuple[dict[str, str], ...]:
        """Return what the daemon remembers of this container's ends: attributes such as `exitCode`, oldest first."""
        with self._translated():
            events = self._api.events(
                since=int(since_s), until=int(time.time()) + 1, decode=True,
                filters={"container": container, "event": ["die", "oom"]},
            )  # fmt: skip
            return tuple(
                {"event": event["Action"], "time_s": str(event["time"]), **event["Actor"]["Attributes"]}
                for event in events
            )

    def _stream(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        with self._translated():
            yield from chunks

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except docker.errors.APIError as exc:
            raise _refusal(exc) from exc
        except (docker.errors.InvalidVersion, docker.errors.TLSParameterError) as exc:
            raise unavailable(self.address, exc) from exc
        except docker.errors.DockerException as exc:
            # The library's own: a reference that cannot be one, a store of credentials that is not installed.
            raise DaemonRefusedError(str(exc)) from exc
        except (requests.exceptions.RequestException, HTTPError, OSError) as exc:
            raise unavailable(self.address, exc) from exc


def daemon_address(environment: Mapping[str, str]) -> DockerAddress:
    """Return where Docker's own command would look for a daemon. Nothing is asked of it.

    Raises:
        DockerUnavailableError: The current context cannot be read.
    """
    return address_of_environment(environment) or _context_address(environment)


def _open(address: DockerAddress, environment: Mapping[str, str]) -> docker.DockerClient:
    if address.context is not None:
        tls = ContextAPI.get_context(address.context).TLSConfig
        return docker.DockerClient(
            base_url=address.url, version="auto", timeout=_TIMEOUT_S, tls=tls, use_ssh_client=True
        )
    return docker.from_env(
        version="auto", timeout=_TIMEOUT_S, environment=dict(environment), use_ssh_client=address.url.startswith("ssh:")
    )


def _context_address(environment: Mapping[str, str]) -> DockerAddress:
    # The library reads the configuration alone; Docker's own command lets the variable win.
    wanted = environment.get("DOCKER_CONTEXT") or None
    try:
        context = ContextAPI.get_context(wanted)
    except (docker.errors.DockerException, OSError, json.JSONDecodeError) as exc:
        raise unavailable(DockerAddress(url=DEFAULT_ADDRESS, source="the current context"), exc) from exc
    if context is None:
        which = "the current Docker context" if wanted is None else f"the Docker context '{wanted}' of DOCKER_CONTEXT"
        raise DockerUnavailableError(
            f"{which} is not described on this machine", next_step="docker context ls, then docker context use NAME"
        )
    if context.Name == "default" or not context.Host:
        return DockerAddress(url=DEFAULT_ADDRESS, source="the default")
    return DockerAddress(url=context.Host, source=f"context '{context.Name}'", context=context.Name)


def _policy(name: Any) -> Any:
    # The stubs ask for a retry count beside it, which the daemon refuses with these policies.
    return {"Name": name}


def _refusal(error: docker.errors.APIError) -> Exception:
    text = str(error.explanation or error)
    if error.status_code == _NOT_FOUND or is_going(text):
        return NotThereError(text)
    if error.status_code == _CONFLICT:
        return NameTakenError(text)
    return DaemonRefusedError(text)
