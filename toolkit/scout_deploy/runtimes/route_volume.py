"""The route table in its volume, written through the proxy's container, which mounts it."""

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from scout_deploy.containers.deployment import PROXY_USER, ROUTES_FILE, ROUTES_FOLDER
from scout_deploy.proxy_secrets import OPERATOR_KEY_FILE, REDIS_FILE_PREFIX, KeptSecrets, secret_files
from scout_deploy.runtimes.docker_engine import DockerEngine
from scout_deploy.runtimes.docker_errors import DaemonRefusedError, NameTakenError
from scout_proxy.route_table import RouteTable

_TRIES = 20
_RETRY_S = 0.25
_NEW_FILE = f".{ROUTES_FILE}.new"
# The archive's time has whole seconds; two tables of one second and one size would look the same to the proxy.
_RENAME = "import os, sys; os.utime(sys.argv[1]); os.replace(sys.argv[1], sys.argv[2])"
_FORGET = f"""import os, sys
os.chdir(sys.argv[1])
for name in os.listdir():
    if name.startswith({(REDIS_FILE_PREFIX, OPERATOR_KEY_FILE)!r}) and name not in sys.argv[2:]:
        os.remove(name)
"""
# Digests of API keys are in the table, secrets in what lies beside it: the proxy reads them, and nobody else.
_PRIVATE = 0o600


@dataclass(frozen=True)
class RouteVolume:
    """One deployment's route table, and the secret files beside it."""

    engine: DockerEngine
    proxy: str

    def write(self, table: RouteTable) -> None:
        """Replace the table; a running proxy sees the old one or the new one and never a part.

        Raises:
            DaemonRefusedError: The container is gone, or its volume takes nothing.
        """
        self._patiently(partial(self._write, serialized(table)))

    def write_secrets(self, files: Mapping[str, str]) -> None:
        """Put these files beside the table; before one that names them.

        Raises:
            DaemonRefusedError: The container is gone, or its volume takes nothing.
        """
        for name, content in files.items():
            self._patiently(partial(self._put, name, content.encode()))

    def _patiently(self, write: Callable[[], None]) -> None:
        for _ in range(_TRIES):
            try:
                write()
            except NameTakenError:
                # The proxy ended, or was just started again, between two questions.
                time.sleep(_RETRY_S)
                continue
            return
        raise DaemonRefusedError(f"the route table cannot be written through {self.proxy}, which keeps ending")

    def _put(self, name: str, content: bytes) -> None:
        self.engine.put_file(self.proxy, ROUTES_FOLDER, name, content, mode=_PRIVATE, uid=PROXY_USER)

    def _write(self, content: bytes) -> None:
        if not self.engine.inspect(self.proxy).is_running:
            self._put(ROUTES_FILE, content)
            return
        # The daemon unpacks a file piece by piece; only a rename puts it there at once.
        self._put(_NEW_FILE, content)
        argv = ("python", "-I", "-S", "-c", _RENAME, f"{ROUTES_FOLDER}/{_NEW_FILE}", f"{ROUTES_FOLDER}/{ROUTES_FILE}")
        result = self.engine.exec(self.proxy, argv)
        if result.code != 0:
            raise DaemonRefusedError(f"the route table cannot be replaced: {result.output.strip()}")

    def read(self) -> RouteTable | None:
        """Return the table; None where there is none, or one of another version."""
        content = self.engine.get_file(self.proxy, f"{ROUTES_FOLDER}/{ROUTES_FILE}")
        try:
            return None if content is None else RouteTable.model_validate_json(content)
        except ValidationError:
            return None

    def kept(self) -> KeptSecrets:
        """Return what the deployment has of secrets; nothing where it is not there."""
        table = self.read()
        found = {name: self._read_secret(name) for name in secret_files(table)}
        return KeptSecrets(table=table, files={name: text for name, text in found.items() if text is not None})

    def operator_key(self) -> str | None:
        """Return the key that the toolkit asks the API with; None where the API asks for none."""
        return self._read_secret(OPERATOR_KEY_FILE)

    def _read_secret(self, name: str) -> str | None:
        content = self.engine.get_file(self.proxy, f"{ROUTES_FOLDER}/{name}")
        return None if content is None else content.decode("utf-8", "replace")

    def forget_others(self, table: RouteTable) -> None:
        """Remove the secret files that this table does not name. A proxy that does not run keeps them."""
        with contextlib.suppress(DaemonRefusedError):
            argv = ("python", "-I", "-S", "-c", _FORGET, ROUTES_FOLDER, *secret_files(table))
            self.engine.exec(self.proxy, argv)


def serialized(table: RouteTable) -> bytes:
    """Return the table as JSON.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed meanwhile.
    """
    try:
        return table.model_dump_json(indent=2).encode()
    except PydanticSerializationError as exc:
        # The serializer calls into Python for an enumeration, and makes an error of its own of what it meets there.
        if KeyboardInterrupt.__name__ in str(exc):
            raise KeyboardInterrupt from exc
        raise
