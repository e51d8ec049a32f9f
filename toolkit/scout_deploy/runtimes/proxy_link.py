"""How the toolkit asks a deployment's proxy: over its published port, or from inside its container.

The port is open to this machine only where the daemon is local; elsewhere the question travels with the daemon's own
connection, so that nothing has to be published for the toolkit.
"""

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from scout_deploy.api_client import ApiAnswer
from scout_deploy.containers.deployment import ROUTES_FOLDER
from scout_deploy.proxy_secrets import OPERATOR_KEY_FILE
from scout_deploy.runtimes.docker_engine import DockerEngine
from scout_deploy.runtimes.docker_errors import DaemonRefusedError

_KEY_FILE = f"{ROUTES_FOLDER}/{OPERATOR_KEY_FILE}"


class ProxyLink(Protocol):
    """A way to one proxy; over its published port, an `ApiClient` is one."""

    def ask(
        self, path: str, *, body: Mapping[str, object] | None = None, timeout_s: float, fresh: bool = False
    ) -> ApiAnswer:
        """GET, or POST `body` as JSON; a `fresh` answer neither comes from the response cache nor goes there.

        Raises:
            OSError: Nobody answers, or not in time.
            http.client.HTTPException: What answers does not speak HTTP.
        """
        ...


@dataclass(frozen=True)
class ContainerLink:
    """From inside the proxy's container, through the daemon."""

    engine: DockerEngine
    container: str

    def ask(
        self, path: str, *, body: Mapping[str, object] | None = None, timeout_s: float, fresh: bool = False
    ) -> ApiAnswer:
        """See `ProxyLink.ask`."""
        question = () if body is None else ("--body", json.dumps(dict(body)))
        options = ("--timeout", f"{timeout_s:g}", "--key-file", _KEY_FILE, *(("--fresh",) if fresh else ()))
        argv = ("python", "-m", "scout_proxy.ask", path, *options, *question)
        try:
            result = self.engine.exec(self.container, argv)
        except DaemonRefusedError as exc:
            raise ConnectionError(exc.reason) from exc
        if result.code != 0:
            raise ConnectionError(result.output.strip() or f"the question ended with status {result.code}")
        try:
            answer = json.loads(result.output)
            return ApiAnswer(answer["status"], answer["body"])
        except (ValueError, KeyError, TypeError) as exc:
            raise http.client.HTTPException(f"not an answer: {result.output[:200]!r}") from exc
