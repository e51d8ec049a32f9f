"""Where profiles lie, and which one a name means."""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path

from scout_deploy.errors import ProfileError
from scout_deploy.profile.problem import shown
from scout_deploy.xdg import user_directories

SUFFIXES = (".yaml", ".yml")

# The example is to be read, and what begins with an underscore is only there to be extended.
_EXAMPLE = "example"


def shipped_profiles_dir() -> Path:
    """Return the folder of the profiles that ship with the product, in a wheel and in a checkout alike."""
    package = Path(__file__).resolve().parents[1]
    in_wheel = package / "shipped_profiles"
    return in_wheel if in_wheel.is_dir() else package.parents[1] / "profiles"


def profile_directories(environment: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the folders that names are looked up in: the user's own first, so that they can replace shipped ones."""
    return (user_directories(environment).config / "profiles", shipped_profiles_dir())


def is_path(name_or_path: str) -> bool:
    """Whether this is meant as a path and not as a name."""
    return "/" in name_or_path or os.sep in name_or_path or name_or_path.endswith(SUFFIXES)


def profile_files(directories: tuple[Path, ...]) -> dict[str, Path]:
    """Return the listed profiles by name, sorted; of two with one name the one found first."""
    found: dict[str, Path] = {}
    for directory in directories:
        for path in _yaml_files(directory):
            if not path.stem.startswith("_") and path.stem != _EXAMPLE:
                found.setdefault(path.stem, path)
    return dict(sorted(found.items()))


def find_profile(name: str, directories: tuple[Path, ...], *, apart_from: Path | None = None) -> Path | None:
    """Return the first file of that name, or None.

    Args:
        apart_from: A file that is not meant: the one that extends a profile of its own name.
    """
    for directory in directories:
        for suffix in SUFFIXES:
            path = directory / f"{name}{suffix}"
            if _is_file(path) and (apart_from is None or not path.samefile(apart_from)):
                return path
    return None


def unknown_profile(name: str, directories: tuple[Path, ...]) -> ProfileError:
    """Return the error for a name that no profile has."""
    names = list(profile_files(directories))
    near = difflib.get_close_matches(name.lower(), names, n=3, cutoff=0.5)
    guess = f"; did you mean {' or '.join(near)}?" if near else "."
    local = next((path for suffix in ("", *SUFFIXES) if name and _is_file(path := Path(f"{name}{suffix}"))), None)
    next_step = (
        f"To use the file {local} in this folder, write ./{local}."
        if local is not None
        else "`scout-deploy profiles list` describes them; a file of your own is named by its path, as ./mine.yaml."
    )
    return ProfileError(f"no profile is named {shown(name)}{guess} There are: {', '.join(names)}.", next_step=next_step)


def display_path(path: Path) -> str:
    """Name a file as its user would: relative to where they are, if it lies below."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def expand_home(text: str) -> Path:
    """Return a path with `~` put in; one with the `~name` of nobody is left as it is, and will not be found."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        # A name that is too long, or a folder that may not be entered: no profile that can be used, in either case.
        return False


def _yaml_files(directory: Path) -> list[Path]:
    try:
        return sorted(path for path in directory.iterdir() if path.suffix in SUFFIXES and path.is_file())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as exc:
        raise ProfileError(f"{directory}: cannot be listed: {exc.strerror}") from exc
