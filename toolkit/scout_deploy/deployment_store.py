"""The folder of one deployment of the process runtime: what is declared, what was seen, and the logs."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from scout_deploy.deployment import DeploymentSpec, DeploymentStatus
from scout_deploy.errors import DeployError, DeploymentNotFoundError, StateError
from scout_deploy.file_lock import FileLock
from scout_deploy.proxy_secrets import OPERATOR_KEY_FILE, REDIS_FILE_PREFIX, KeptSecrets, secret_files
from scout_proxy.route_table import RouteTable

# In the environment of every process of a deployment; its value is the folder.
MARK_VARIABLE = "SCOUT_DEPLOYMENT_FOLDER"


@dataclass(frozen=True)
class DeploymentStore:
    """Read and write one deployment's folder; every file is replaced whole."""

    folder: Path

    @property
    def name(self) -> str:
        """The deployment's name, which is the folder's."""
        return self.folder.name

    @property
    def routes(self) -> Path:
        """The route table that the proxy serves from."""
        return self.folder / "routes.json"

    def log(self, role: str) -> Path:
        """Return the log file of one role: `proxy`, `engine` or `supervisor`."""
        return self.folder / "logs" / f"{role}.log"

    def exists(self) -> bool:
        """Tell whether something was declared here."""
        return self._spec.exists()

    def create(self) -> None:
        """Make the folder, readable by this user alone.

        Raises:
            StateError: It cannot be made or written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            (self.folder / "logs").mkdir(exist_ok=True, mode=0o700)
        except OSError as exc:
            raise unusable(self.folder, exc) from exc
        self.check_writable()

    def check_writable(self) -> None:
        """Try to write.

        Raises:
            StateError: The folder is gone, may not be written, or its disk is full.
        """
        try:
            # Closing writes what is buffered; a full disk takes a file, but nothing into it.
            with tempfile.NamedTemporaryFile(dir=self.folder) as probe:
                probe.write(b"x")
                probe.flush()
        except OSError as exc:
            raise unusable(self.folder, exc) from exc

    def remove(self) -> None:
        """Delete the folder with everything in it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def supervisor_lock(self, note: str) -> FileLock:
        """Return the lock that a supervisor holds for as long as it lives."""
        return FileLock(self.folder / "supervisor.lock", note)

    def write_spec(self, spec: DeploymentSpec) -> None:
        """Declare what is to run.

        Raises:
            StateError: The file cannot be written.
        """
        self._write(self._spec, spec.model_dump_json(indent=2))

    def read_spec(self) -> DeploymentSpec:
        """Return what is declared.

        Raises:
            DeploymentNotFoundError: Nothing is.
            StateError: The file is unreadable, or of another version.
        """
        try:
            return DeploymentSpec.model_validate_json(self._spec.read_bytes())
        except FileNotFoundError as exc:
            raise DeploymentNotFoundError(f"no deployment is named '{self.name}'") from exc
        except (OSError, ValidationError) as exc:
            raise StateError(
                f"{self._spec} is unreadable, or was written by another version of scout-deploy",
                next_step=f"scout-deploy down {self.name}",
            ) from exc

    @property
    def declared_at_ns(self) -> int | None:
        """When it was declared last, in a number that grows; None where nothing is."""
        try:
            return self._spec.stat().st_mtime_ns
        except OSError:
            return None

    def write_status(self, status: DeploymentStatus) -> None:
        """Say what was seen.

        Raises:
            StateError: The file cannot be written.
        """
        self._write(self._status, status.model_dump_json(indent=2))

    def read_status(self) -> DeploymentStatus | None:
        """Return what the supervisor saw last, or None if it has not said anything readable."""
        try:
            return DeploymentStatus.model_validate_json(self._status.read_bytes())
        except (OSError, ValidationError):
            return None

    def forget_status(self) -> None:
        """Drop what an earlier supervisor saw.

        Raises:
            StateError: The file cannot be removed.
        """
        try:
            self._status.unlink(missing_ok=True)
        except OSError as exc:
            raise unusable(self._status, exc) from exc

    def write_secrets(self, files: Mapping[str, str]) -> None:
        """Put these files beside the route table.

        Raises:
            StateError: One of them cannot be written.
        """
        for name, content in files.items():
            self._write(self.folder / name, content)

    def operator_key(self) -> str | None:
        """Return the key that the toolkit asks the API with; None where the API asks for none."""
        return self._read_secret(OPERATOR_KEY_FILE)

    def kept_secrets(self) -> KeptSecrets:
        """Return what the deployment has of secrets; nothing where it is not there, or cannot be read."""
        try:
            table = self.read_spec().routes
        except DeployError:
            return KeptSecrets()
        found = {name: self._read_secret(name) for name in secret_files(table)}
        return KeptSecrets(table=table, files={name: text for name, text in found.items() if text is not None})

    def forget_other_secrets(self, table: RouteTable) -> None:
        """Remove the secret files that this table does not name."""
        for prefix in (OPERATOR_KEY_FILE, REDIS_FILE_PREFIX):
            for path in self.folder.glob(f"{prefix}*"):
                if path.name not in secret_files(table):
                    path.unlink(missing_ok=True)

    def _read_secret(self, name: str) -> str | None:
        try:
            return (self.folder / name).read_text(encoding="utf-8")
        except (OSError, ValueError):
            return None

    @property
    def _spec(self) -> Path:
        return self.folder / "deployment.json"

    @property
    def _status(self) -> Path:
        return self.folder / "status.json"

    def _write(self, path: Path, text: str) -> None:
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            # The folder is private already; a copy of the file should be too.
            temporary.touch(mode=0o600)
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(path)
        except OSError as exc:
            temporary.unlink(missing_ok=True)
            raise unusable(path, exc) from exc


def unusable(path: Path, exc: OSError) -> StateError:
    """Explain a state directory that cannot be read or written."""
    return StateError(
        f"the state directory cannot be used: {path}: {exc.strerror}",
        next_step="free or repair it, or choose another one with the environment variable XDG_STATE_HOME",
    )
