"""Where the toolkit keeps things of this user, by the XDG Base Directory Specification."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scout_deploy.errors import StateError

PRODUCT = "scout-deploy"


@dataclass(frozen=True, kw_only=True)
class UserDirectories:
    """The operator's directories; none of them is created here.

    Args:
        state: What runs, its logs, and the history that outlives it.
        config: The operator's own profiles.
    """

    state: Path
    config: Path

    @property
    def deployments(self) -> Path:
        """One folder for each deployment of the process runtime; gone after `down`."""
        return self.state / "deployments"

    @property
    def evidence(self) -> Path:
        """What failed attempts left; kept after `down`, the newest few for each deployment."""
        return self.state / "evidence"

    @property
    def benchmarks(self) -> Path:
        """What was measured; kept after `down`, so that a later version can be held against it."""
        return self.state / "benchmarks"


def user_directories(environment: Mapping[str, str]) -> UserDirectories:
    """Resolve the directories; as the specification says, a relative value in the environment is ignored.

    Raises:
        StateError: One of them would lie in the home directory, and this user has none.
    """

    return UserDirectories(
        state=_base(environment, "XDG_STATE_HOME", ".local/state"),
        config=_base(environment, "XDG_CONFIG_HOME", ".config"),
    )


def cache_directory(environment: Mapping[str, str]) -> Path:
    """Return the folder for what can be asked for again; it is not created here.

    Raises:
        StateError: It would lie in the home directory, and this user has none.
    """
    return _base(environment, "XDG_CACHE_HOME", ".cache")


def _base(environment: Mapping[str, str], variable: str, default: str) -> Path:
    value = Path(environment.get(variable, ""))
    return (value if value.is_absolute() else _home(environment) / default) / PRODUCT


def _home(environment: Mapping[str, str]) -> Path:
    if (home := Path(environment.get("HOME", ""))).is_absolute():
        return home
    try:
        return Path.home()
    except RuntimeError as exc:
        raise StateError(
            "this user has no home directory to keep state and profiles in: HOME is not set",
            next_step="set HOME, or XDG_STATE_HOME and XDG_CONFIG_HOME",
        ) from exc
