"""The GPUs of a Docker host that is another machine: the driver's tool, run in a container there.

Unproven on hardware: written against Docker's documented device requests, tested with recorded answers of the tools.
"""

from scout_deploy.containers.spec import GpuDevices
from scout_deploy.gpus.inventory import Inventory, read_inventory
from scout_deploy.gpus.tool import RunTool, ToolAnswer
from scout_deploy.runtimes.docker_engine import DockerEngine
from scout_deploy.runtimes.docker_errors import DaemonRefusedError
from scout_deploy.runtimes.errand import Errand, container_for, lines_of

_EVERY_GPU = GpuDevices(vendor="nvidia", ids=("all",))


def probe_gpus(engine: DockerEngine, image: str, deployment: str) -> Inventory:
    """Return the NVIDIA GPUs that a container of this image sees when it is given all of them."""
    return read_inventory(_tool_in_container(engine, image, deployment))


def _tool_in_container(engine: DockerEngine, image: str, deployment: str) -> RunTool:
    def run(argv: tuple[str, ...]) -> ToolAnswer:
        try:
            errand = Errand(deployment=deployment, image=image, argv=argv, gpus=_EVERY_GPU)
            with container_for(engine, errand) as container:
                text = "\n".join(lines_of(engine, container))
                return ToolAnswer(status=engine.inspect(container).exit_code, text=text)
        except DaemonRefusedError:
            # No GPU to give, or no such tool in the image: what `status=None` means.
            return ToolAnswer(status=None)

    return run
