"""A profile as a tree of values that know where they were written. Pure data; reading the text is another file's."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from scout_deploy.profile.problem import Place

ScalarValue: TypeAlias = str | int | float | bool | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Scalar:
    """One value.

    Args:
        reference: The text before its variables were put in, where there were any.
        variables: The variables whose values went into it: what it holds is not to be shown.
    """

    value: ScalarValue
    place: Place
    reference: str | None = None
    variables: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Sequence:
    """A list."""

    items: tuple["Node", ...]
    place: Place


@dataclass(frozen=True, kw_only=True, slots=True)
class Mapping:
    """Keys and values; a value's place is its key's."""

    entries: dict[str, "Node"]
    place: Place


Node: TypeAlias = Scalar | Sequence | Mapping


def plain(node: Node) -> object:
    """Return a tree as plain data, lists as tuples."""
    if isinstance(node, Mapping):
        return {key: plain(value) for key, value in node.entries.items()}
    if isinstance(node, Sequence):
        return tuple(plain(item) for item in node.items)
    return node.value


def leaves(node: Node, key: tuple[str, ...] = ()) -> dict[tuple[str, ...], Scalar | Sequence]:
    """Return everything that is no mapping, by its key path; a list counts as one value."""
    if isinstance(node, Mapping):
        return {
            path: leaf for name, child in node.entries.items() for path, leaf in leaves(child, (*key, name)).items()
        }
    return {key: node}


def find(node: Node, key: tuple[str, ...]) -> Node | None:
    """Return what stands at a key path; the items of a list are numbered from 0."""
    for step in key:
        if isinstance(node, Mapping) and step in node.entries:
            node = node.entries[step]
        elif isinstance(node, Sequence) and step.isdecimal() and int(step) < len(node.items):
            node = node.items[int(step)]
        else:
            return None
    return node


def changed_at(node: Node, key: tuple[str, ...], change: Callable[[Scalar], Scalar]) -> Node:
    """Return the tree with the value at a key path changed; the same tree where no such value is."""
    if not key:
        return change(node) if isinstance(node, Scalar) else node
    step, rest = key[0], key[1:]
    if isinstance(node, Mapping) and step in node.entries:
        return replace(node, entries={**node.entries, step: changed_at(node.entries[step], rest, change)})
    if isinstance(node, Sequence) and step.isdecimal() and int(step) < len(node.items):
        items = list(node.items)
        items[int(step)] = changed_at(items[int(step)], rest, change)
        return replace(node, items=tuple(items))
    return node
