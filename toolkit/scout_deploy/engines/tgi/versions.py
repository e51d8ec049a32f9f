"""TGI's versions: which exist, and how they are compared."""

import re

Version = tuple[int, int, int]

# The tags of the repository since the first one that knows every variable that we set (launcher/src/main.rs `Args`);
# `{version}{suffix}` is the image's tag (.github/workflows/build.yaml). v3.3.7 is the last: the repository is archived.
KNOWN_VERSIONS = (
    *("3.0.0", "3.0.1", "3.0.2", "3.1.0", "3.1.1", "3.2.0", "3.2.1", "3.2.2", "3.2.3"),
    *("3.3.0", "3.3.1", "3.3.2", "3.3.3", "3.3.4", "3.3.5", "3.3.6", "3.3.7"),
)
LATEST = KNOWN_VERSIONS[-1]
LATEST_NUMBERS: Version = (3, 3, 7)

_SERIES = re.compile(r"v?(\d+)(?:\.(\d+))?")
_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)(?:[^0-9].*)?")


def parse_version(text: str) -> Version | None:
    """Return the three numbers that a version begins with; None where it does not."""
    match = _VERSION.fullmatch(text)
    return None if match is None else (int(match[1]), int(match[2]), int(match[3]))


def nearest_version(text: str) -> str:
    """Return the last known version of the same series, else of the same generation, else of all."""
    match = _SERIES.match(text)
    for series in () if match is None else (f"{match[1]}.{match[2]}.", f"{match[1]}."):
        if same := [version for version in KNOWN_VERSIONS if version.startswith(series)]:
            return same[-1]
    return LATEST
