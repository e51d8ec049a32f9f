"""The files that the running interpreter and our dependencies consist of: what an image needs to run Python."""

import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

_OURS = "scout-deploy"
_EXTRAS = ("embedded", "otel", "redis")
# Large parts of the standard library that no server imports.
_LEFT_OUT = re.compile(r"(?:tests?|idlelib|tkinter|turtledemo|lib2to3|ensurepip|(?:site|dist)-packages|config-.*)")
_BYTECODE = f".{sys.implementation.cache_tag}.pyc"
_LINKED = re.compile(r"(/\S+) \(0x")
SHELL = Path("/bin/sh")


def interpreter() -> Path:
    """Return the interpreter that the virtual environment was made with, links resolved."""
    return Path(sys.executable).resolve()


def distributions() -> list[Distribution]:
    """Return our dependencies with those of the extras, theirs and pip; not our own package."""
    found: dict[str, Distribution] = {}
    visited: set[tuple[str, tuple[str, ...]]] = set()
    wanted = [(_OURS, _EXTRAS), ("pip", ())]
    while wanted:
        name, extras = wanted.pop()
        if (name, extras) in visited:
            continue
        visited.add((name, extras))
        found[name] = distribution(name)
        needed = (Requirement(line) for line in found[name].requires or ())
        wanted += [(_normal(part.name), tuple(sorted(part.extras))) for part in needed if _applies(part, extras)]
    del found[_OURS]
    return [found[name] for name in sorted(found)]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _applies(needed: Requirement, extras: tuple[str, ...]) -> bool:
    return needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in ("", *extras))


def installed_files(part: Distribution) -> Iterator[tuple[Path, Path]]:
    """Yield a distribution's files with their places below site-packages; scripts outside of it are left out."""
    for entry in part.files or ():
        path = Path(str(entry.locate()))
        if ".." not in entry.parts and _is_current(path) and path.is_file():
            yield path, Path(*entry.parts)


def standard_library() -> Iterator[Path]:
    """Yield the files of the standard library; their places are those on this machine."""
    for folder, inner, names in os.walk(sysconfig.get_path("stdlib")):
        inner[:] = [name for name in inner if not _LEFT_OUT.fullmatch(name)]
        yield from (Path(folder, name) for name in names if _is_current(Path(name)) and not name.startswith("_tkinter"))


def _is_current(path: Path) -> bool:
    return path.suffix != ".pyc" or path.name.endswith(_BYTECODE)


def shared_libraries(files: list[Path]) -> list[Path]:
    """Return the system's libraries that these files, the interpreter and the shell link, as the loader names them."""
    binaries = [file for file in files if ".so" in file.suffixes]
    # Its exit status tells of files that are no dynamic executables, which is no failure here.
    told = subprocess.run(
        ["ldd", interpreter(), SHELL, *binaries], capture_output=True, text=True, check=False, timeout=120
    )
    linked = {Path(name) for name in _LINKED.findall(told.stdout)}
    # Name lookups load these at run time, where libc has them as files of their own.
    linked.update(path for place in {path.parent for path in linked} for path in place.glob("libnss_[df]*.so.2"))
    return sorted(path for path in linked.difference(files) if not path.is_relative_to(sys.prefix))
