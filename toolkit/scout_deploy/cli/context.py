"""What every command needs of the user's environment."""

import os

from scout_deploy.memory_history import MemoryHistory, memory_history
from scout_deploy.runtimes.container_runtime import ContainerRuntime
from scout_deploy.runtimes.docker_engine import DockerEngine
from scout_deploy.runtimes.process_runtime import ProcessRuntime
from scout_deploy.xdg import user_directories

DEFAULT_DEPLOYMENT = "scout"

# A week. Sockets and clocks refuse what is far beyond it, infinity included.
MAX_TIMEOUT_S = 604_800.0


def process_runtime() -> ProcessRuntime:
    """Return the runtime over this user's directories."""
    return ProcessRuntime(user_directories(os.environ))


def container_runtime() -> ContainerRuntime:
    """Return the runtime over the Docker daemon that this user's environment names.

    Raises:
        DockerUnavailableError: None answers, or this user may not use it.
    """
    return ContainerRuntime(DockerEngine.connect(os.environ), user_directories(os.environ))


def kept_memory() -> MemoryHistory:
    """Return what this user's engines really took of memory."""
    return memory_history(user_directories(os.environ))
