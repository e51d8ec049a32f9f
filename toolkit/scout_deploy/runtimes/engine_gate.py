"""The gate of an exchange: the new engines are measured before they get anybody's requests.

They are published nowhere, so what measures them goes through the proxy: the route table names a trial, and a request
with its token goes to them alone. The token is drawn here, lives in this process and in the one that sends the
requests, and is known elsewhere by its digest; it ends with the trial.
"""

import hashlib
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from scout_deploy.containers.deployment import ContainerDeployment
from scout_deploy.progress import Tell
from scout_proxy.route_table import Template, Trial

_HEADER = "X-Scout-Trial"


@dataclass(frozen=True, kw_only=True)
class TrialTarget:
    """New engines, and the way to them.

    Args:
        url: Of the API.
        headers: That lead to these engines and past everybody's; a secret.
        deployment: That they are of.
        image_digest: Of their image.
        left_s: Seconds that measuring them may take in all; None where nobody waits for it.
    """

    url: str
    headers: Mapping[str, str] = field(repr=False)
    deployment: ContainerDeployment
    image_digest: str | None
    left_s: float | None


class EngineGate(Protocol):
    """Lets new engines pass or not."""

    @property
    def shortest_s(self) -> float:
        """Seconds without which nothing can be measured."""
        ...

    def check(self, target: TrialTarget, tell: Tell) -> None:
        """Measure the engines; return where they passed.

        Raises:
            GateMissedError: They missed the service level.
            DeployError: Nothing can be said of them.
        """
        ...


def new_trial(upstreams: Iterable[str], template: Template) -> tuple[Trial, dict[str, str]]:
    """Draw a token; return the trial for the route table, and the headers of its requests."""
    token = secrets.token_urlsafe(32)
    digest = hashlib.sha256(token.encode()).hexdigest()
    return Trial(token_digest=digest, upstreams=tuple(upstreams), template=template), {_HEADER: token}
