"""A container that does one thing on the Docker host and goes away: for what must happen where the daemon is."""

import contextlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field

from scout_deploy.containers import labels
from scout_deploy.containers.log_lines import LineSplitter
from scout_deploy.containers.spec import ContainerSpec, GpuDevices, Mount
from scout_deploy.runtimes.docker_engine import DockerEngine


@dataclass(frozen=True, kw_only=True)
class Errand:
    """What is to be done.

    Args:
        deployment: Whose; what an interrupted command leaves of it is found, and removed, with that.
        files: Written into the container before it starts, by their path; such as a token, which must be in no
            environment and no command line.
    """

    deployment: str
    image: str
    argv: tuple[str, ...]
    mounts: tuple[Mount, ...] = ()
    gpus: GpuDevices | None = None
    user: str | None = None
    environment: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)


@contextlib.contextmanager
def container_for(engine: DockerEngine, errand: Errand) -> Iterator[str]:
    """Create and start the errand's container; it is removed at the end, whatever happened.

    Raises:
        DaemonRefusedError: It cannot be made or started.
    """
    spec = ContainerSpec(
        name=f"scout-errand-{secrets.token_hex(6)}",
        role="download",
        image=errand.image,
        entrypoint=errand.argv,
        mounts=errand.mounts,
        gpus=errand.gpus,
        user=errand.user,
        environment=errand.environment,
        labels={labels.DEPLOYMENT: errand.deployment, labels.TEMPORARY: "errand"},
    )
    container = engine.create(spec, network=None)
    try:
        for path, content in errand.files.items():
            folder, _, name = path.rpartition("/")
            engine.put_file(container, folder or "/", name, content, mode=0o400)
        engine.start(container)
        yield container
    finally:
        engine.remove(container)


def lines_of(engine: DockerEngine, container: str) -> Iterator[str]:
    """Yield the container's log lines until it ends."""
    splitter = LineSplitter()
    stream = engine.follow_log(container)
    try:
        for chunk in stream.chunks:
            for line in splitter.feed(chunk):
                yield line.text
        for line in splitter.end():
            yield line.text
    finally:
        stream.close()
