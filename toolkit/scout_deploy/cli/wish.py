"""What the options that name a profile mean: `up`, and every command that shows what `up` would do, read them so."""

import os
import re
from collections.abc import Sequence

from scout_deploy.container_draft import Wish
from scout_deploy.errors import ProfileError
from scout_deploy.profile.catalogue import is_path
from scout_deploy.profile.layers import parse_overrides
from scout_deploy.profile.loader import LoadedProfile, load_profile
from scout_proxy.version import __version__

# Engines are found by their containers' names, a host name's part has at most 63 characters (RFC 1035, 2.3.4), and
# `scout-` before and `-engine-1000-63` behind are ours.
_MAX_NAME = 40


def read_wish(
    profile: str, name: str, assignments: Sequence[str], *, start_timeout_s: float | None = None
) -> tuple[LoadedProfile, Wish]:
    """Load a profile with what was given with `--set`, and return it with the wish that it makes.

    Raises:
        ProfileError: The deployment's name, the profile or a value is not usable.
    """
    _check_name(name)
    loaded = load_profile(profile, environment=os.environ, overrides=parse_overrides(assignments))
    return loaded, Wish(
        profile=loaded.profile,
        # Another command, in another folder, has to find it too.
        profile_name=str(loaded.path.absolute()) if is_path(profile) else loaded.name,
        name=name,
        version=__version__,
        start_timeout_s=start_timeout_s,
        overrides=tuple(assignments),
    )


def _check_name(name: str) -> None:
    if re.fullmatch(rf"[a-z0-9][a-z0-9_-]{{0,{_MAX_NAME - 1}}}", name) is None:
        raise ProfileError(
            f"--name: got {name!r}, expected lower-case letters, digits, - and _, at most {_MAX_NAME}, a letter or "
            "digit first"
        )
