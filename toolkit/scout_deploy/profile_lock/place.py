"""Where a profile's lock lies: beside it, or in the user's own folder where the profile is one that ships."""

from collections.abc import Mapping
from pathlib import Path

from scout_deploy.profile.catalogue import shipped_profiles_dir
from scout_deploy.xdg import user_directories

SUFFIX = ".lock"


def lock_path(profile: Path, environment: Mapping[str, str]) -> Path:
    """Return the lock's path, whether it is there or not.

    Args:
        profile: The profile's own file.
    """
    folder = profile.absolute().parent
    if folder.resolve() == shipped_profiles_dir().resolve():
        # The next installation would replace it, and not everybody may write there.
        folder = user_directories(environment).config / "profiles"
    return folder / f"{profile.stem}{SUFFIX}"
