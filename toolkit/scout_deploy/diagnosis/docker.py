"""What a Docker daemon says when it does not pull an image, or does not create or start a container."""

from collections.abc import Callable

from scout_deploy.diagnosis.death import Death
from scout_deploy.diagnosis.diagnosis import Diagnosis, EngineSettings, ProfileEdit
from scout_deploy.diagnosis.evidence import in_error
from scout_deploy.diagnosis.signature import Evidence, Signature

_IMAGE = 4
_GPU = 5
_PORT = 6
_ENGINE = 7
_NAME = 17
_LAST_PORT = 65_535

# The registry has neither this tag nor this digest, or none for this architecture.
IMAGE_NOT_FOUND = "image-not-found"


def docker_signatures() -> tuple[Signature, ...]:
    """Return the daemon's refusals."""
    return (
        Signature(name="disk-full", matcher=in_error("(?i)no space left on device"), explain=_disk_full),
        Signature(
            name="driver-too-old",
            matcher=in_error("nvidia-container-cli: requirement error|unsatisfied condition: (cuda|driver)"),
            explain=explain_driver_too_old,
        ),
        Signature(
            name="no-nvidia-runtime",
            matcher=in_error(
                "could not select device driver"
                "|(?i:unknown or invalid runtime name|unknown runtime specified)"
                "|unresolvable CDI devices"
            ),
            explain=_no_runtime,
        ),
        Signature(
            name="port-in-use",
            matcher=in_error("port is already allocated|bind: address already in use"),
            explain=_port_in_use,
        ),
        Signature(
            name="name-taken",
            matcher=in_error("Conflict. The container name|is already in use by container"),
            explain=_name_taken,
        ),
        *_pull_signatures(),
    )


def _pull_signatures() -> tuple[Signature, ...]:
    return (
        _pull(
            "registry-rate-limit",
            "(?i)toomanyrequests|too many requests",
            lambda settings: f"the registry of {settings.image} answers no more pulls from here for now",
            "wait and run the same command again, or docker login to the registry, which raises its limit",
        ),
        _pull(
            "registry-untrusted",
            "x509: |certificate signed by unknown authority",
            lambda settings: f"the Docker daemon does not trust the certificate of the registry of {settings.image}",
            "install the certificate of your proxy or registry on the Docker host (/etc/docker/certs.d or the system's "
            "store) and restart Docker",
        ),
        _pull(
            "registry-unreachable",
            "no such host|server misbehaving|i/o timeout|TLS handshake timeout|connection refused|connection reset"
            "|network is unreachable|no route to host|Temporary failure in name resolution"
            "|Client.Timeout exceeded|request canceled while waiting for connection",
            lambda settings: f"the Docker host cannot reach the registry of {settings.image}",
            "check the Docker host's network, DNS and proxy (docker pull tries it alone), or load the image from an "
            "archive there (docker load) or name one of another registry with --set engine.image=IMAGE",
        ),
        _pull(
            "image-access-denied",
            "(?i)pull access denied|unauthorized|access forbidden|denied: |^denied$",
            lambda settings: f"the registry does not give {settings.image} to this user, or has no such image",
            "check the spelling of engine.image, and docker login to its registry",
        ),
        _pull(
            IMAGE_NOT_FOUND,
            "manifest unknown|no matching manifest|manifest for .* not found|: not found",
            lambda settings: f"the registry has no image {settings.image} for this machine",
            "check engine.version, or the tag in engine.image; it has to be built for this architecture",
        ),
    )


def _pull(name: str, pattern: str, cause: Callable[[EngineSettings], str], next_step: str) -> Signature:
    def explain(_: Death, settings: EngineSettings, evidence: Evidence) -> Diagnosis:
        return Diagnosis(name=name, cause=cause(settings), evidence=evidence, next_step=next_step, exit_code=_IMAGE)

    said = in_error(pattern)

    def match(death: Death) -> Evidence | None:
        return said(death) if _is_pull(death) else None

    return Signature(name=name, matcher=match, explain=explain)


def _is_pull(death: Death) -> bool:
    # Such words also stand in refusals to start: of a mount, of a port.
    return death.phase is None or "pull" in death.phase


def explain_driver_too_old(_: Death, settings: EngineSettings, evidence: Evidence) -> Diagnosis:
    """Say that the image's CUDA is newer than the driver."""
    return Diagnosis(
        name="driver-too-old",
        cause=f"the NVIDIA driver of the Docker host is older than the CUDA of {settings.image}",
        evidence=evidence,
        next_step="install a newer NVIDIA driver on the Docker host (nvidia-smi shows which is there) and reboot",
        exit_code=_GPU,
    )


def _disk_full(death: Death, settings: EngineSettings, evidence: Evidence) -> Diagnosis:
    is_pull = (death.phase is not None and "pull" in death.phase) or "layer" in death.error
    return Diagnosis(
        name="disk-full",
        cause=f"the disk of the Docker host is full{f' while it unpacks {settings.image}' if is_pull else ''}",
        evidence=evidence,
        next_step="free space where Docker keeps its images (docker info --format '{{.DockerRootDir}}', docker system "
        "df shows what takes it)",
        exit_code=_IMAGE if is_pull else _ENGINE,
    )


def _no_runtime(_: Death, _settings: EngineSettings, evidence: Evidence) -> Diagnosis:
    if "CDI" in evidence[0] or '"cdi"' in evidence[0]:
        return Diagnosis(
            name="no-nvidia-runtime",
            cause="the Docker daemon does not know the GPUs: no CDI description of them is there",
            evidence=evidence,
            next_step="on the Docker host: sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml, then restart "
            "Docker; install the NVIDIA Container Toolkit first where nvidia-ctk is missing",
            exit_code=_GPU,
        )
    return Diagnosis(
        name="no-nvidia-runtime",
        cause="the Docker daemon cannot give GPUs to containers: the NVIDIA Container Toolkit is not installed, or "
        "not registered with Docker",
        evidence=evidence,
        next_step="on the Docker host: install nvidia-container-toolkit, then sudo nvidia-ctk runtime configure "
        "--runtime=docker && sudo systemctl restart docker; the profile 'embedded' needs no GPU",
        exit_code=_GPU,
    )


def _port_in_use(_: Death, settings: EngineSettings, evidence: Evidence) -> Diagnosis:
    free = settings.port + 1
    edits = (
        (ProfileEdit(key="proxy/port", value=str(free), why="another port, if that one is free"),)
        if 0 < settings.port < _LAST_PORT
        else ()
    )
    return Diagnosis(
        name="port-in-use",
        cause=f"something else on the Docker host listens on port {settings.port}",
        evidence=evidence,
        edits=edits,
        next_step=f"find what listens there (ss -ltnp 'sport = :{settings.port}', docker ps) and stop it",
        exit_code=_PORT,
    )


def _name_taken(_: Death, _settings: EngineSettings, evidence: Evidence) -> Diagnosis:
    return Diagnosis(
        name="name-taken",
        cause="a container with that name is already there, and it is not this deployment's; it is left alone",
        evidence=evidence,
        next_step="scout-deploy up --name OTHER, or rename or remove that container (docker ps -a)",
        exit_code=_NAME,
    )
