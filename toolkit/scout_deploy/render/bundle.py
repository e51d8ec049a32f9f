"""Everything that lies beside a Compose document, and the document itself, as files. Pure."""

import io
import shlex
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from scout_deploy.containers.deployment import ROUTES_FILE, WEIGHTS_FOLDER, ContainerDeployment
from scout_deploy.proxy_image.context import ProxyImage
from scout_deploy.render.compose import PRIVATE_FOLDER, compose_document, compose_routes, lacks_weights, routes_folder
from scout_deploy.render.service import Section
from scout_deploy.render.yaml_text import yaml_text

COMPOSE_FILE = "compose.yaml"
_SETTINGS_FILE = ".env"
_IMAGE_FOLDER = "proxy-image"


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """What is written into one folder.

    Args:
        files: By their path below the folder; Compose needs all of them.
        fetch: The command that fetches the weights where they are not there; None where nothing is missing.
        notes: What the user should know beforehand.
    """

    files: dict[str, bytes]
    fetch: str | None = None
    notes: tuple[str, ...] = ()


def compose_bundle(
    deployment: ContainerDeployment,
    *,
    proxy_image: ProxyImage | None,
    version: str,
    again: str,
    secret_files: Mapping[str, str] | None = None,
) -> Bundle:
    """Return the files that start this deployment with Compose.

    Args:
        proxy_image: What the proxy's image is built of; None where the profile names one that exists.
        version: The product's.
        again: The command that writes them again.
        secret_files: What lies beside the route table, by name.
    """
    build: Section | None = None
    files: dict[str, bytes] = {}
    if proxy_image is not None:
        build = {"context": f"./{_IMAGE_FOLDER}", "args": dict(proxy_image.build_arguments)}
        files = {f"{_IMAGE_FOLDER}/{path}": content for path, content in _unpacked(proxy_image.context_tar)}
    fetch = fetch_command(deployment) if lacks_weights(deployment) else None
    head = "".join(f"# {line}".rstrip() + "\n" for line in _head(deployment, version=version, again=again, fetch=fetch))
    text = f"{head}\n{yaml_text(compose_document(deployment, build=build))}"
    routes = routes_folder(deployment)
    return Bundle(
        files={
            COMPOSE_FILE: text.encode(),
            f"{routes}/{ROUTES_FILE}": compose_routes(deployment).model_dump_json(indent=2).encode() + b"\n",
            _SETTINGS_FILE: f"COMPOSE_PROJECT_NAME={deployment.names.prefix}\n".encode(),
            **{f"{routes}/{name}": content.encode() for name, content in (secret_files or {}).items()},
            **files,
        },
        fetch=fetch,
        notes=deployment.remarks,
    )


def fetch_command(deployment: ContainerDeployment) -> str:
    """Return the command that puts the weights where the plan mounts them."""
    mount, serving = deployment.weights.mount, deployment.routes.serving
    if mount.kind == "volume":
        # They are fetched where the daemon runs, which only `up` does.
        return f"scout-deploy up --profile {shlex.quote(deployment.profile)}"
    cache = mount.source.removesuffix(mount.target.removeprefix(WEIGHTS_FOLDER))
    revision = () if serving.revision is None else ("--revision", serving.revision)
    # Copies of the same weights for other programs, which are as large again.
    others = ("--exclude", "original/*", "*.bin", "*.pth", "*.gguf")
    return shlex.join(("hf", "download", serving.model_id, *revision, "--cache-dir", cache, *others))


def _head(deployment: ContainerDeployment, *, version: str, again: str, fetch: str | None) -> Iterator[str]:
    yield f"Deployment '{deployment.name}' from profile '{deployment.profile}', written by scout-deploy {version} with"
    yield f"  {again}"
    if fetch is not None:
        yield ""
        yield "THE WEIGHTS ARE MISSING, and what this says of the model is not complete without them. Fetch them with"
        yield f"  {fetch}"
        yield "and write this file again."
    yield ""
    yield "Start it, in this folder:  docker-compose up -d   or   docker compose up -d"
    yield "Stop it:                   docker-compose down    or   docker compose down"
    yield ""
    yield "It starts the containers of `scout-deploy up`, but nobody waits for the first generation to prove that the"
    yield "engines work: they have the restart policy of a proven engine from the start, so one that cannot work is"
    yield f"started again and again. `scout-deploy status {deployment.name}`, `logs`, `diagnose` and `down` know this"
    yield "deployment; change it by writing this file again, and not with `up --replace`."
    if routes_folder(deployment).startswith(PRIVATE_FOLDER):
        yield ""
        yield f"The folder {PRIVATE_FOLDER} tells of secrets (digests of keys, the address of Redis): it is yours"
        yield "alone, and not for a repository. A changed file of keys takes effect when this is written again."
    for remark in deployment.remarks:
        yield ""
        yield f"Note: {' '.join(remark.split())}"


def _unpacked(archive: bytes) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for entry in tar:
            content = tar.extractfile(entry)
            if content is not None:
                yield entry.name, content.read()
