"""Everything that can go wrong for a user of the toolkit, one class and one exit status per cause.

    DeployError (1)
    ├── ProfileError (2)             a profile, or a value given with --set, is not usable
    │   └── CommandLineError (2)     a command, an option or its value is wrong; only where --json asks for it as JSON
    ├── DockerUnavailableError (3)   no Docker daemon answers, or this user may not use it
    ├── ImageError (4)               an image cannot be pulled or built
    ├── GpuUnavailableError (5)      the profile wants GPUs that this machine does not have
    ├── PortInUseError (6)           somebody else listens on the port
    ├── EngineExitedError (7)        the engine died before it could serve
    ├── StartTimeoutError (8)        the engine was not ready in time
    ├── DeploymentNotFoundError (9)  no deployment has that name
    ├── ModelFileError (10)          the model file is missing, unreadable or not a model
    ├── StateError (11)              the state directory cannot be used
    ├── DeploymentBusyError (12)     another command is changing this deployment
    ├── DeploymentChangedError (13)  it runs already, with another profile
    ├── ExtraMissingError (14)       a part of the product that is not installed
    ├── RequestFailedError (15)      the API answered with an error, or not at all
    ├── WeightsError (16)            the model's weights cannot be had, or not all of them
    ├── NameConflictError (17)       somebody else's container, network or volume has the name
    ├── ReplaceFailedError (18)      the new engines did not work; the old ones serve again
    ├── ServiceLevelMissedError (19) the service level was not held at the rate that was asked for
    ├── GateMissedError (20)         the new engines missed the service level; the old ones serve again
    └── LockDifferenceError (21)     what would run is not what the profile's lock says

2 is also the command line's own status for a wrong option: both mean "your input is wrong". 130 is Ctrl-C. The command
line catches `DeployError` in one place; anything else is a bug and is shown whole.
"""


class DeployError(Exception):
    """Base of all of them.

    Args:
        message: What failed, with which value, and the likely cause.
        next_step: The one thing to do now; shown on a line of its own.
        evidence: Lines to show below, such as the last ones of a log.
    """

    exit_code = 1

    def __init__(self, message: str, *, next_step: str | None = None, evidence: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step
        self.evidence = evidence


class ProfileError(DeployError):
    """A profile, or a value given with `--set`, is not usable."""

    exit_code = 2


class CommandLineError(ProfileError):
    """A command, an option or its value is wrong."""


class DockerUnavailableError(DeployError):
    """No Docker daemon answers, or this user may not use it.

    Args:
        is_absent: There is no socket at all, as on a machine without Docker.
    """

    exit_code = 3

    def __init__(self, message: str, *, next_step: str | None = None, is_absent: bool = False) -> None:
        super().__init__(message, next_step=next_step)
        self.is_absent = is_absent


class ImageError(DeployError):
    """An image cannot be pulled or built."""

    exit_code = 4


class GpuUnavailableError(DeployError):
    """The profile wants GPUs that this machine does not have."""

    exit_code = 5


class PortInUseError(DeployError):
    """Somebody else listens on the port."""

    exit_code = 6


class EngineExitedError(DeployError):
    """The engine died before it could serve."""

    exit_code = 7


class StartTimeoutError(DeployError):
    """The engine was not ready in time."""

    exit_code = 8


class DeploymentNotFoundError(DeployError):
    """No deployment has that name."""

    exit_code = 9


class ModelFileError(DeployError):
    """The model file is missing, unreadable or not a model."""

    exit_code = 10


class StateError(DeployError):
    """The state directory cannot be used."""

    exit_code = 11


class DeploymentBusyError(DeployError):
    """Another command is changing this deployment."""

    exit_code = 12


class DeploymentChangedError(DeployError):
    """It runs already, with another profile."""

    exit_code = 13


class ExtraMissingError(DeployError):
    """A part of the product that is not installed."""

    exit_code = 14


class RequestFailedError(DeployError):
    """The API answered with an error, or not at all."""

    exit_code = 15


class WeightsError(DeployError):
    """The model's weights cannot be had, or not all of them."""

    exit_code = 16


class NameConflictError(DeployError):
    """Somebody else's container, network or volume has the name; it is never touched."""

    exit_code = 17


class ReplaceFailedError(DeployError):
    """The new engines did not work; the old ones serve again."""

    exit_code = 18


class ServiceLevelMissedError(DeployError):
    """The service level was not held at the rate that was asked for."""

    exit_code = 19


class GateMissedError(DeployError):
    """The new engines missed the service level; the old ones serve again."""

    exit_code = 20


class LockDifferenceError(DeployError):
    """What would run is not what the profile's lock says."""

    exit_code = 21
