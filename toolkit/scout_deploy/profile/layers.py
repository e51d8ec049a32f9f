"""A profile's layers: what it extends, itself, and what `--set` changes, merged into one tree."""

import os
from collections.abc import Mapping as AbstractMapping
from collections.abc import Sequence as AbstractSequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path

from scout_deploy.errors import ProfileError
from scout_deploy.profile.catalogue import display_path, expand_home, find_profile, is_path, unknown_profile
from scout_deploy.profile.document import MAX_DEPTH, Document, parse_document, read_document
from scout_deploy.profile.problem import Place, Problem, shown
from scout_deploy.profile.tree import Mapping, Node, Scalar, plain

MAX_CHAIN = 8
EXTENDS = "extends"


@dataclass(frozen=True, kw_only=True, slots=True)
class Layers:
    """Files read and merged; nothing is expanded or validated yet.

    Args:
        chain: The profile's file first, then what it extends.
    """

    root: Mapping
    chain: tuple[Path, ...]
    problems: tuple[Problem, ...]


def read_layers(path: Path, source: str, directories: tuple[Path, ...]) -> Layers:
    """Read a profile's file and all that it extends, and merge them.

    Raises:
        ProfileError: One of them cannot be read or parsed, or the chain is a circle, too long, or leads nowhere.
    """
    chain: list[Path] = []
    documents: list[Document] = []
    following: Path | None = path
    while following is not None:
        _check_chain(following, chain)
        chain.append(following)
        document = read_document(following, source)
        documents.append(document)
        following = _extended(document.root, following, directories)
        source = "" if following is None else display_path(following)
    roots = [_without(document.root, EXTENDS) for document in reversed(documents)]
    return Layers(
        root=reduce(merge, roots),
        chain=tuple(chain),
        problems=tuple(problem for document in documents for problem in document.problems),
    )


def merge(base: Mapping, over: Mapping) -> Mapping:
    """Put one mapping over another: mappings merge, everything else replaces, null takes the key away."""
    entries = dict(base.entries)
    for key, node in over.entries.items():
        below = entries.get(key)
        if isinstance(node, Scalar) and node.value is None:
            entries.pop(key, None)
        elif isinstance(node, Mapping):
            # Also over nothing, so that the nulls inside take effect.
            empty = Mapping(entries={}, place=node.place)
            entries[key] = merge(below if isinstance(below, Mapping) else empty, node)
        else:
            entries[key] = node
    return Mapping(entries=entries, place=over.place)


def override_layer(overrides: AbstractMapping[str, str], directory: Path) -> tuple[Mapping, tuple[Problem, ...]]:
    """Return the layer of the values given with `--set`: dotted keys, YAML values.

    Args:
        directory: Where relative paths in them start.

    Raises:
        ProfileError: A key is malformed or a value is not YAML.
    """
    place = Place(source="--set", line=None, directory=directory)
    layer = Mapping(entries={}, place=place)
    problems: list[Problem] = []
    for dotted, text in overrides.items():
        key = tuple(dotted.split("."))
        if not all(key) or key[0] == EXTENDS or len(key) > MAX_DEPTH:
            raise ProfileError(
                f"--set: got {shown(dotted)}, expected the dotted path of a profile's key, as in proxy.port=2026"
            )
        document = parse_document(text, replace(place, source=f"--set {dotted}"))
        problems.extend(replace(problem, place=place, key=(*key, *problem.key)) for problem in document.problems)
        layer = _put(layer, key, _placed(document.root, place))
    return layer, tuple(problems)


def parse_overrides(assignments: AbstractSequence[str]) -> dict[str, str]:
    """Split `key.path=value` arguments; of one key given twice the last value counts.

    Raises:
        ProfileError: An argument has no `=` or no key.
    """
    overrides: dict[str, str] = {}
    for assignment in assignments:
        key, separator, value = assignment.partition("=")
        if not separator or not key.strip():
            raise ProfileError(f"--set: got {assignment!r}, expected key.path=value, as in proxy.port=2026")
        overrides[key.strip()] = value
    return overrides


def _put(layer: Mapping, key: tuple[str, ...], node: Node) -> Mapping:
    # Not `merge`: a null must stay in the layer to take the key away from what is below it.
    head, rest = key[0], key[1:]
    if rest:
        below = layer.entries.get(head)
        node = _put(below if isinstance(below, Mapping) else Mapping(entries={}, place=layer.place), rest, node)
    return replace(layer, entries={**layer.entries, head: node})


def _placed(node: Node, place: Place) -> Node:
    if isinstance(node, Mapping):
        return Mapping(entries={key: _placed(value, place) for key, value in node.entries.items()}, place=place)
    if isinstance(node, Scalar):
        return replace(node, place=place)
    return replace(node, items=tuple(_placed(item, place) for item in node.items), place=place)


def _check_chain(following: Path, chain: list[Path]) -> None:
    names = " -> ".join(display_path(path) for path in (*chain, following))
    if any(following.samefile(seen) for seen in chain if following.exists()):
        raise ProfileError(f"{display_path(chain[0])}: extends itself: {names}")
    if len(chain) == MAX_CHAIN:
        raise ProfileError(f"{display_path(chain[0])}: extends more than {MAX_CHAIN - 1} profiles in a row: {names}")


def _extended(root: Node, path: Path, directories: tuple[Path, ...]) -> Path | None:
    node = root.entries.get(EXTENDS) if isinstance(root, Mapping) else None
    if node is None or (isinstance(node, Scalar) and node.value is None):
        return None
    if not isinstance(node, Scalar) or not isinstance(node.value, str):
        raise ProfileError(
            f"{node.place}: {EXTENDS}: got {shown(plain(node))}, expected one profile's name, or the path of its file"
        )
    if is_path(node.value):
        target = path.absolute().parent / expand_home(node.value)
        if not os.path.lexists(target):
            raise ProfileError(
                f"{node.place}: {EXTENDS}: got {shown(node.value)}, and there is no such file in {target.parent}"
            )
        return target
    nearest = (path.absolute().parent, *directories)
    found = find_profile(node.value, nearest, apart_from=path)
    if found is None:
        error = unknown_profile(node.value, nearest)
        raise ProfileError(f"{node.place}: {EXTENDS}: {error.message}", next_step=error.next_step)
    return found


def _without(root: Node, key: str) -> Mapping:
    if not isinstance(root, Mapping):
        raise TypeError("a profile's root is a mapping: read_document sees to it")
    return replace(root, entries={name: node for name, node in root.entries.items() if name != key})
