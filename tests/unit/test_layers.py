"""The arrows of the design: who may import whom, and who alone may import a library that does I/O."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "scout_deploy": ROOT / "toolkit/scout_deploy",
    "scout_engine": ROOT / "toolkit/scout_engine",
    "scout_loadtest": ROOT / "loadtests/scout_loadtest",
    "scout_proxy": ROOT / "proxy/scout_proxy",
}
ALLOWED_OF_OURS = {
    "scout_deploy": {
        "scout_loadtest",
        "scout_proxy.cache.redis_address",
        "scout_proxy.route_table",
        "scout_proxy.version",
    },
    "scout_engine": set[str](),
    "scout_loadtest": set[str](),
    "scout_proxy": set[str](),
}
# What needs the extra `bench`, and patches the standard library.
OF_THE_EXTRA = ("gevent", "geventhttpclient", "locust")
WITH_THE_EXTRA = ("scout_loadtest.client", "scout_loadtest.load", "scout_loadtest.run_step")
ONE_FILE_ALONE = ("aiohttp", "docker", "huggingface_hub", "opentelemetry", "psutil", "pynvml", "redis", "xllamacpp")


def module_name(package: str, path: Path) -> str:
    parts = path.relative_to(PACKAGES[package].parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules() -> Iterator[tuple[str, str, Path]]:
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            yield package, module_name(package, path), path


@cache
def imports(path: Path) -> frozenset[str]:
    return frozenset(read_imports(path))


def read_imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_rooms_import_only_what_the_design_allows() -> None:
    wrong = [
        f"{module} imports {name}"
        for package, module, path in modules()
        for name in imports(path)
        if name.partition(".")[0] in PACKAGES.keys() - {package}
        and not any(name == allowed or name.startswith(f"{allowed}.") for allowed in ALLOWED_OF_OURS[package])
        and name not in {allowed.partition(".")[0] for allowed in ALLOWED_OF_OURS[package]}
    ]

    assert wrong == []


@pytest.mark.parametrize("library", ONE_FILE_ALONE)
def test_a_library_that_does_io_is_imported_by_one_file_of_a_room(library: str) -> None:
    for package in PACKAGES:
        users = {
            module
            for room, module, path in modules()
            if room == package and any(name.partition(".")[0] == library for name in imports(path))
        }

        assert len(users) <= 1, users


def test_what_needs_the_extra_is_nowhere_else() -> None:
    """Results can be read, compared and reported where the extra is not installed."""
    banned = (*OF_THE_EXTRA, *WITH_THE_EXTRA)
    wrong = [
        f"{module} imports {name}"
        for _, module, path in modules()
        if not module.startswith(WITH_THE_EXTRA)
        for name in imports(path)
        if any(name == one or name.startswith(f"{one}.") for one in banned)
    ]

    assert wrong == []


def test_no_import_cycles() -> None:
    known = {module for _, module, _ in modules()}
    arrows = {module: {name for name in imports(path) if name in known - {module}} for _, module, path in modules()}
    # An import of a package's submodule names the package too; that is not an arrow of its own.
    settled: set[str] = set()
    while ready := {module for module in arrows.keys() - settled if arrows[module] <= settled}:
        settled |= ready

    assert arrows.keys() - settled == set()
