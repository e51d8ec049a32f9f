"""What a Docker daemon answers when it does not do what it is asked.

    DeployError
    ├── DockerUnavailableError (3)      nobody answers, or this user may not ask
    └── DaemonRefusedError (1)          it answered, and refused; its text is evidence
        ├── NotThereError               no such container, image, network or volume
        └── NameTakenError              a name is taken, or the thing is in another state

Whoever asks mostly knows what a refusal means and says so; what nobody expected still reaches the user as an error.
"""

from scout_deploy.errors import DeployError, DockerUnavailableError
from scout_deploy.runtimes.docker_address import DockerAddress

_LEAST_API = (1, 41)
_UPGRADE = "install Docker 20.10 or newer"


class DaemonRefusedError(DeployError):
    """The daemon refused. `reason` is its own text."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the Docker daemon refused: {reason}", next_step="scout-deploy doctor looks at the daemon")
        self.reason = reason


class NotThereError(DaemonRefusedError):
    """There is no such container, image, network or volume, or the container is just being removed."""


class NameTakenError(DaemonRefusedError):
    """The name is taken, or the thing is in a state that does not allow this."""


def unavailable(address: DockerAddress, error: BaseException) -> DockerUnavailableError:
    """Explain why the daemon does not answer."""
    text = _innermost(error)
    where = f"the Docker daemon at {address.url} (from {address.source})"
    # Of a daemon elsewhere, these are words of the way to it, such as of a missing `ssh`.
    if address.is_local and "Permission denied" in text:
        return DockerUnavailableError(
            f"this user may not use {where}: permission denied",
            next_step="sudo usermod -aG docker $USER, then log in again; or use rootless Docker",
        )
    if address.is_local and ("No such file or directory" in text or "FileNotFoundError" in text):
        return DockerUnavailableError(
            f"no Docker daemon is there: {where} does not exist",
            next_step="install and start Docker, or set DOCKER_HOST; the profile 'embedded' needs no Docker",
            is_absent=True,
        )
    if "SSHHTTPAdapter" in text:
        return DockerUnavailableError(
            f"{where} cannot be reached over SSH: the Python package paramiko is not installed",
            next_step="install paramiko beside scout-deploy (pip install paramiko)",
        )
    if "is too old" in text or "API version" in text:
        return DockerUnavailableError(f"{where} is too old: {text}", next_step=_UPGRADE)
    return DockerUnavailableError(
        f"{where} does not answer: {text}",
        next_step="start it (sudo systemctl start docker), or correct its address; scout-deploy doctor looks closer",
    )


def check_api(address: DockerAddress, api_version: str) -> None:
    """Return where the daemon speaks all that is asked of it: Docker 20.10 and later do.

    Raises:
        DockerUnavailableError: It is older.
    """
    if tuple(int(part) for part in api_version.split(".") if part.isdigit()) < _LEAST_API:
        raise DockerUnavailableError(
            f"the Docker daemon at {address.url} (from {address.source}) is too old: it speaks API {api_version}",
            next_step=_UPGRADE,
        )


def is_going(reason: str) -> bool:
    """Whether a refusal only says that the container is being removed: the daemon calls that an error of its own."""
    return "RWLayer" in reason and "unexpectedly nil" in reason


def _innermost(error: BaseException) -> str:
    seen: BaseException = error
    # What is raised `from None` hides its context on purpose: below a JSONDecodeError is only a StopIteration's number.
    while (inner := seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)) is not None:
        seen = inner
    return f"{seen}" if str(seen) else type(seen).__name__
