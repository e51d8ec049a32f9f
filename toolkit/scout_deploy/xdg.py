"""Where the toolkit keeps things of this user, by the XDG Base Directory Specification."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

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


def user_directories(environment: Mapping[str, str], home: Path) -> UserDirectories:
    """Resolve the directories; as the specification says, a relative value in the environment is ignored."""

    def base(variable: str, default: str) -> Path:
        value = Path(environment.get(variable, ""))
        return (value if value.is_absolute() else home / default) / PRODUCT

    return UserDirectories(state=base("XDG_STATE_HOME", ".local/state"), config=base("XDG_CONFIG_HOME", ".config"))
