"""The process runtime: deployments as supervised background processes of this user, on this machine."""

import contextlib
import fcntl
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from scout_deploy.deployment import DeploymentSpec, DeploymentStatus
from scout_deploy.deployment_lock import changing
from scout_deploy.deployment_store import MARK_VARIABLE, DeploymentStore, unusable
from scout_deploy.errors import DeployError
from scout_deploy.processes import ProcessIdentity, identify, is_alive, marked_processes, stop_processes
from scout_deploy.proxy_secrets import SECRET_VARIABLES
from scout_deploy.rotating_log import rotated
from scout_deploy.xdg import UserDirectories
from scout_proxy.route_table import Limits

_SUPERVISOR_MARGIN_S = 20.0
_ORPHAN_GRACE_S = 10.0
_ORPHAN_ROUNDS = 5
_STANDARD_ERROR = 2


@dataclass(frozen=True, kw_only=True)
class Observation:
    """One deployment at a glance.

    Args:
        status: What its supervisor saw last; None before it said anything.
        supervised: Whether that supervisor still lives.
        processes: Those of its processes that run now, whoever looks after them.
    """

    spec: DeploymentSpec
    status: DeploymentStatus | None
    supervised: bool
    processes: tuple[ProcessIdentity, ...]


class ProcessRuntime:
    """Starts, observes and stops deployments; knows nothing of profiles."""

    def __init__(self, directories: UserDirectories) -> None:
        self._directories = directories

    def names(self) -> tuple[str, ...]:
        """Return the deployments that were declared and not taken down.

        Raises:
            StateError: The state directory cannot be read.
        """
        folder = self._directories.deployments
        try:
            return tuple(sorted(entry.name for entry in folder.iterdir() if DeploymentStore(entry).exists()))
        except FileNotFoundError:
            return ()
        except OSError as exc:
            raise unusable(folder, exc) from exc

    def store(self, name: str) -> DeploymentStore:
        """Return the folder of a deployment, whether it exists or not."""
        # Resolved, because its processes are found by it, however the user wrote the way to it this time.
        return DeploymentStore(self._directories.deployments.resolve() / name)

    @contextlib.contextmanager
    def changing(self, name: str, command: str) -> Iterator[None]:
        """Keep every other command from changing this deployment meanwhile.

        Raises:
            DeploymentBusyError: Another command is changing it now.
            StateError: The state directory cannot be written.
        """
        with changing(self._directories.deployments, name, command):
            yield

    def observe(self, name: str) -> Observation:
        """Look at a deployment.

        Raises:
            DeploymentNotFoundError: There is none of that name.
            StateError: Its declaration is unreadable.
        """
        store = self.store(name)
        spec = store.read_spec()
        status = store.read_status()
        return Observation(
            spec=spec,
            status=status,
            supervised=status is not None and is_alive(status.supervisor),
            processes=self._processes(store),
        )

    def start(self, spec: DeploymentSpec, secret_files: Mapping[str, str] | None = None) -> ProcessIdentity | None:
        """Declare a deployment and start its supervisor, which outlives this process.

        Args:
            secret_files: What lies beside the route table, by name.

        Returns:
            The supervisor; None if it was gone before it could be looked at.

        Raises:
            StateError: The state directory cannot be written.
        """
        store = self.store(spec.name)
        store.create()
        store.forget_status()
        store.write_secrets(secret_files or {})
        store.write_spec(spec)
        log = store.log("supervisor")
        if log.exists():
            log.replace(rotated(log, 1))
        folders = (store.folder, self._directories.state, self._directories.config)
        _keep_descriptors()
        # Spawned, not a subprocess.Popen: nobody here will ever wait for it.
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-P", "-m", "scout_deploy.runtimes.supervise", *map(str, folders)],
            {**_environment(spec), MARK_VARIABLE: str(store.folder)},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )
        return identify(pid)

    def stop(self, name: str) -> tuple[ProcessIdentity, ...]:
        """End every process of a deployment and forget it, whatever state it is in. Blocks while it drains.

        What its supervisor left, or a killed supervisor left, is ended too: it is found by the mark in its
        environment, so a process that merely has a remembered pid is never touched.

        Returns:
            What had to be ended without its supervisor.
        """
        store = self.store(name)
        status = store.read_status()
        if status is not None:
            stop_processes([status.supervisor], grace_s=_drain_s(store) + _SUPERVISOR_MARGIN_S)
        orphans: tuple[ProcessIdentity, ...] = ()
        for _ in range(_ORPHAN_ROUNDS):
            # One of them may have started another meanwhile.
            if not (left := self._processes(store)):
                break
            stop_processes(left, grace_s=_ORPHAN_GRACE_S)
            orphans += left
        store.remove()
        return orphans

    def _processes(self, store: DeploymentStore) -> tuple[ProcessIdentity, ...]:
        return marked_processes(MARK_VARIABLE, str(store.folder))


def _environment(spec: DeploymentSpec) -> dict[str, str]:
    """Return this process's environment without the secrets of the proxy, which has them by other ways."""
    secret = {spec.settings.get(key) for key in SECRET_VARIABLES}
    return {name: value for name, value in os.environ.items() if name not in secret}


def _keep_descriptors() -> None:
    """Pass on nothing that our caller left open: their pipe or lock would then last as long as the deployment."""
    for entry in Path("/dev/fd").iterdir():
        # The one that lists the folder is closed by now.
        with contextlib.suppress(OSError):
            if int(entry.name) > _STANDARD_ERROR:
                fcntl.fcntl(int(entry.name), fcntl.F_SETFD, fcntl.FD_CLOEXEC)


def _drain_s(store: DeploymentStore) -> float:
    try:
        return store.read_spec().routes.limits.drain_s
    except DeployError:
        # It has to go down all the same.
        return Limits().drain_s
