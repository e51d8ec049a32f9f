"""What a Docker daemon says of itself and of the machine it runs on."""

from scout_deploy.containers.spec import Frozen


class DockerHost(Frozen):
    """The facts that a plan is made from.

    Args:
        address: Where the daemon is reached, such as `unix:///var/run/docker.sock`.
        is_local: Whether this machine's paths and loopback are the daemon's too.
        api_version: Such as `1.41`.
        runtimes: Names of its OCI runtimes.
        cdi_devices: CDI names that it discovered, such as `nvidia.com/gpu=0`; empty before Docker 28.3.
        generic_resources: What its operator says it has, such as `gpu=4` or `NVIDIA-GPU=GPU-6e3f`.
        security: Its security options by name, such as `rootless`, `seccomp`, `userns`.
        memory_bytes: Of the machine.
        has_cgroups: Whether it can tell what one container uses; a rootless daemon may have none.
        components: Names in its version answer: `Engine` of Docker, `Podman Engine` of Podman's imitation.
    """

    address: str
    is_local: bool
    server_version: str
    api_version: str
    os: str = "linux"
    architecture: str = "x86_64"
    runtimes: tuple[str, ...] = ()
    cdi_devices: tuple[str, ...] = ()
    generic_resources: tuple[str, ...] = ()
    security: tuple[str, ...] = ()
    memory_bytes: int = 0
    cpus: int = 0
    root_dir: str = ""
    name: str = ""
    has_cgroups: bool = True
    components: tuple[str, ...] = ()

    @property
    def is_rootless(self) -> bool:
        """Whether the daemon runs without root, as its user."""
        return "rootless" in self.security
