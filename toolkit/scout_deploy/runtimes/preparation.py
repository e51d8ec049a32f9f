"""What a start asks of whoever knows profiles, models and GPUs."""

from collections.abc import Mapping
from typing import Protocol

from scout_deploy.containers.deployment import ContainerDeployment
from scout_deploy.containers.observation import ContainerObservation
from scout_deploy.progress import Tell
from scout_deploy.proxy_settings import ProxySettings
from scout_deploy.runtimes.engine_start import EngineStart
from scout_deploy.runtimes.route_board import RouteBoard


class Preparation(Protocol):
    """One profile, on its way to a deployment of containers."""

    @property
    def name(self) -> str:
        """The deployment's name."""
        ...

    @property
    def profile(self) -> str:
        """The profile, as the user named it."""
        ...

    @property
    def settings(self) -> Mapping[str, str]:
        """The profile, flattened."""
        ...

    @property
    def proxy_settings(self) -> ProxySettings:
        """What a running proxy takes over as it runs."""
        ...

    @property
    def secret_files(self) -> Mapping[str, str]:
        """What lies beside the route table that has these settings, by name."""
        ...

    @property
    def host(self) -> str:
        """The address that the API is published on."""
        ...

    @property
    def port(self) -> int:
        """The port of the API."""
        ...

    @property
    def max_hold_s(self) -> float:
        """Seconds that a request waits at most while engines are exchanged."""
        ...

    def pin_changes(self, seen: ContainerObservation) -> tuple[str, ...]:
        """Say how what runs differs from the lock that the start is held to; nothing without one."""
        ...

    def runs_beside(self, seen: ContainerObservation) -> bool:
        """Tell whether the new engines can run while the old ones do: blue-green and not hold."""
        ...

    def sketch(self, generation: int, seen: ContainerObservation, tell: Tell, *, beside: bool) -> ContainerDeployment:
        """Return the plan with its proxy ready to start, and the engines as far as they are known.

        What cannot work is refused here, before anything large is fetched.

        Args:
            beside: The engines that are there keep their GPUs meanwhile.

        Raises:
            DeployError: It cannot work.
        """
        ...

    def plan(
        self, sketch: ContainerDeployment, seen: ContainerObservation, tell: Tell, *, beside: bool
    ) -> ContainerDeployment:
        """Fetch what is needed (image, weights), choose GPUs, and return the whole plan.

        Raises:
            DeployError: Something cannot be had.
        """
        ...

    def start(self, deployment: ContainerDeployment, board: RouteBoard, tell: Tell) -> EngineStart:
        """Return the start of the plan's engines."""
        ...
