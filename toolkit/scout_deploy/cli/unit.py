"""What a systemd unit needs of the user's environment and of this installation."""

import re
import sys
from collections.abc import Mapping
from pathlib import Path

from scout_deploy.cli.invocation import NAME
from scout_deploy.container_draft import Wish
from scout_deploy.profile.loader import LoadedProfile
from scout_deploy.profile.profile import Profile
from scout_deploy.render.systemd import UnitRequest
from scout_deploy.xdg import user_directories

# A user's manager does not read the shell's profile, and the deployment would be looked for somewhere else.
_PLACES = ("XDG_STATE_HOME", "XDG_CONFIG_HOME")
_VARIABLE = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)")


def own_command() -> tuple[str, ...]:
    """Return how this very installation is called, with absolute paths."""
    # Not resolved: an environment's interpreter is a link, and is known by where that lies.
    python = Path(sys.executable).absolute()
    script = python.parent / NAME
    return (str(script),) if script.is_file() else (str(python), "-P", "-m", "scout_deploy")


def unit_request(
    loaded: LoadedProfile, wish: Wish, environment: Mapping[str, str], command: tuple[str, ...]
) -> UnitRequest:
    """Return what the unit of this wish is made of."""
    profile = loaded.profile
    names = {found for text in loaded.references.values() for found in _VARIABLE.findall(text)}
    own = {profile.proxy.keys.variable, profile.proxy.cache.redis_url_variable} - {None}
    return UnitRequest(
        deployment=wish.name,
        profile=wish.profile_name,
        command=command,
        overrides=tuple(_absolute(one, profile) for one in wish.overrides),
        environment={name: environment[name] for name in _PLACES if Path(environment.get(name, "")).is_absolute()},
        variables=tuple(sorted({*names, *map(str, own)})),
        variables_file=user_directories(environment).config / f"{wish.name}.env",
        start_timeout_s=profile.startup.timeout_s,
        drain_s=profile.proxy.limits.drain_s,
        version=wish.version,
    )


def _absolute(assignment: str, profile: Profile) -> str:
    """Keep a path's meaning, which starts at the folder that the user is in now."""
    key = assignment.partition("=")[0].strip()
    path = {"model.path": profile.model.path, "proxy.keys.file": profile.proxy.keys.file}.get(key)
    return assignment if path is None else f"{key}={path}"
