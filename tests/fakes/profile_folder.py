"""A folder of profiles, written by a test."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from scout_deploy.errors import ProfileError
from scout_deploy.profile.loader import LoadedProfile, load_profile


class Folder:
    """A folder of profiles that names are looked up in."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, name: str, text: str) -> Path:
        path = self.path / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def load(
        self,
        name: str,
        *,
        environment: Mapping[str, str] | None = None,
        overrides: Mapping[str, str] | None = None,
        directories: tuple[Path, ...] | None = None,
    ) -> LoadedProfile:
        searched = (self.path,) if directories is None else directories
        return load_profile(name, environment=environment or {}, overrides=overrides, directories=searched)

    def problems(
        self, name: str, *, environment: Mapping[str, str] | None = None, overrides: Mapping[str, str] | None = None
    ) -> list[str]:
        with pytest.raises(ProfileError) as caught:
            self.load(name, environment=environment, overrides=overrides)
        return caught.value.message.splitlines()
