"""Profiles as a person sees them: the list, and one profile in full with each value's origin."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from scout_deploy.errors import ProfileError
from scout_deploy.profile.catalogue import display_path, profile_directories, profile_files
from scout_deploy.profile.document import plain_scalar
from scout_deploy.profile.loader import LoadedProfile, load_profile
from scout_deploy.profile.profile import Profile

_INDENT = "  "
_COMMENT_COLUMN = 56

# What may stand without quotes in YAML whatever is around it; the rest is written as JSON, which YAML reads too.
_PLAIN = re.compile(r"[A-Za-z0-9/~][A-Za-z0-9 ._/~@()+;-]*(:[A-Za-z0-9 ._/~@()+;-]+)*")


@dataclass(frozen=True, kw_only=True, slots=True)
class ProfileSummary:
    """One line of the list of profiles.

    Args:
        engine: Kind and version, such as `tgi 3.3.7`; empty, like `hardware`, for a profile that cannot be used.
        hardware: What it is for, such as `4 x A100 80 GB`.
        problem: Why it cannot be used, the first line of it.
    """

    name: str
    description: str
    engine: str
    hardware: str
    path: Path
    problem: str | None = None


def list_profiles(
    environment: Mapping[str, str], directories: tuple[Path, ...] | None = None
) -> tuple[ProfileSummary, ...]:
    """Return the user's own and the shipped profiles by name; one that cannot be used is listed with its problem.

    Raises:
        ProfileError: A folder of profiles cannot be read.
    """
    searched = profile_directories(environment) if directories is None else directories
    return tuple(_summary(name, path, environment, searched) for name, path in profile_files(searched).items())


def _summary(name: str, path: Path, environment: Mapping[str, str], directories: tuple[Path, ...]) -> ProfileSummary:
    try:
        profile = load_profile(str(path), environment=environment, directories=directories).profile
    except ProfileError as error:
        problem = error.message.partition("\n")[0]
        return ProfileSummary(name=name, description="", engine="", hardware="", path=path, problem=problem)
    return ProfileSummary(
        name=name,
        description=profile.description.partition("\n")[0],
        engine=" ".join(filter(None, (profile.engine.kind, profile.engine.version))),
        hardware=hardware_words(profile),
        path=path,
    )


def hardware_words(profile: Profile) -> str:
    """Say in a few words what hardware a profile is for."""
    hardware = profile.hardware
    if hardware.cpu_only or profile.engine.kind == "embedded":
        return "CPU"
    memory = "" if hardware.gpu_memory_gb is None else f"{hardware.gpu_memory_gb:g} GB"
    kind = " ".join(filter(None, (hardware.gpu_kind or "GPU", memory)))
    count = hardware.gpu_count or (len(hardware.gpu_ids) // profile.replicas if hardware.gpu_ids else None)
    each = f"{count} x {kind}" if count else f"{kind}, as many as are free"
    return each if profile.replicas == 1 else f"{profile.replicas} replicas on {each}"


def resolved_values(loaded: LoadedProfile) -> dict[str, object]:
    """Return the whole profile as plain data, defaults filled in; never the value of a variable, but its reference."""

    def reveal(value: object, key: tuple[str, ...]) -> object:
        if isinstance(value, dict):
            return {name: reveal(inner, (*key, name)) for name, inner in value.items()}
        if isinstance(value, tuple | list):
            return [reveal(inner, (*key, str(index))) for index, inner in enumerate(value)]
        return loaded.references.get("/".join(key), value)

    return {name: reveal(value, (name,)) for name, value in loaded.profile.model_dump().items()}


def show_profile(loaded: LoadedProfile) -> str:
    """Return the whole profile as YAML, with the origin of each value beside it."""
    own, *extended = map(display_path, loaded.chain)
    heading = f"# {loaded.name}: {own}" + "".join(f", which extends {path}" for path in extended)
    return "\n".join([heading, *_lines(resolved_values(loaded), (), loaded.origins)]) + "\n"


def _lines(values: Mapping[str, object], key: tuple[str, ...], origins: Mapping[str, str]) -> Iterator[str]:
    for name, value in values.items():
        start = f"{_INDENT * len(key)}{_scalar(name)}:"
        if isinstance(value, dict) and value:
            yield start
            yield from _lines(value, (*key, name), origins)
        else:
            origin = origins.get("/".join((*key, name)), "default")
            yield f"{f'{start} {_flow(value)}':<{_COMMENT_COLUMN}}  # {origin}"


def _flow(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_scalar, value))}]"
    return "{}" if isinstance(value, dict) else _scalar(value)


def _scalar(value: object) -> str:
    if isinstance(value, str):
        is_plain = _PLAIN.fullmatch(value) and value == value.rstrip() and plain_scalar(value) == value
        return value if is_plain else json.dumps(value, ensure_ascii=False)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value)
