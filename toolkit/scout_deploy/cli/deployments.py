"""Every deployment of this user, whichever runtime it belongs to."""

import os
from dataclasses import dataclass

from scout_deploy.cli.context import DEFAULT_DEPLOYMENT, container_runtime, process_runtime
from scout_deploy.errors import DeploymentNotFoundError, DockerUnavailableError
from scout_deploy.runtimes.container_runtime import ContainerRuntime
from scout_deploy.runtimes.process_runtime import ProcessRuntime


@dataclass(frozen=True, kw_only=True)
class Deployments:
    """Both runtimes.

    Args:
        containers: None where no Docker daemon answers.
        docker_problem: Why not, where the user may have expected one.
    """

    processes: ProcessRuntime
    containers: ContainerRuntime | None
    docker_problem: DockerUnavailableError | None = None

    def names(self) -> tuple[str, ...]:
        """Return the names of all of them."""
        others = () if self.containers is None else self.containers.names()
        return tuple(sorted({*self.processes.names(), *others}))

    def choose(self, name: str | None, *, usage: str) -> str:
        """Return the deployment that is meant: the named one; without a name `up`'s default one, else the only one.

        Args:
            usage: How one is named to the command that asks, such as `logs NAME`.

        Raises:
            DeploymentNotFoundError: It is not there, or there are several and none was named.
            DockerUnavailableError: It may be one of containers, which nobody can tell now.
        """
        names = self.names()
        if name in names:
            return str(name)
        if name is None and DEFAULT_DEPLOYMENT in names:
            return DEFAULT_DEPLOYMENT
        if name is None and len(names) == 1:
            return names[0]
        if self.docker_problem is not None:
            raise self.docker_problem
        if not names:
            what = "no deployment is running" if name is None else f"no deployment is named '{name}'; none is running"
            raise DeploymentNotFoundError(what, next_step="scout-deploy up")
        what = "there are several deployments" if name is None else f"no deployment is named '{name}'; there are"
        raise DeploymentNotFoundError(f"{what}: {', '.join(names)}", next_step=f"name one: scout-deploy {usage}")

    def of_containers(self, name: str) -> ContainerRuntime | None:
        """Return the runtime of a deployment of containers; None for one of processes."""
        if name in self.processes.names():
            return None
        return self.containers


def deployments() -> Deployments:
    """Look at both runtimes; a machine without Docker has one of them."""
    processes = process_runtime()
    try:
        return Deployments(processes=processes, containers=container_runtime())
    except DockerUnavailableError as exc:
        expected = bool(os.environ.get("DOCKER_HOST")) or not exc.is_absent
        return Deployments(processes=processes, containers=None, docker_problem=exc if expected else None)
