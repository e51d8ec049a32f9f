"""pydantic's findings in a profile, as problems that name file, line, key, what was got and what was expected."""

import difflib

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from scout_deploy.profile.document import plain_scalar
from scout_deploy.profile.problem import Problem, shown
from scout_deploy.profile.rules import BrokenRulesError
from scout_deploy.profile.schema import Schema, expected_words, key_schemas
from scout_deploy.profile.tree import Mapping, Node, Scalar, find, plain

# pydantic's mark, at the end of an error's location, that a mapping's key and not its value is meant.
_KEY_MARK = "[key]"


def problems_of(error: ValidationError, root: Mapping) -> list[Problem]:
    """Return every problem that the model found in this tree."""
    schemas = key_schemas()
    problems: list[Problem] = []
    for detail in error.errors():
        cause = detail.get("ctx", {}).get("error")
        if isinstance(cause, BrokenRulesError):
            problems.extend(_broken_rules(cause, root))
        elif detail["type"] == "extra_forbidden":
            problems.append(_unknown_key(detail, root, schemas))
        else:
            problems.append(_wrong_value(detail, root, schemas))
    return problems


def _broken_rules(cause: BrokenRulesError, root: Mapping) -> list[Problem]:
    problems = []
    for rule in cause.rules:
        node = find(root, rule.key)
        hidden = isinstance(node, Scalar) and node.variables
        got = _got(node) if hidden else rule.got
        problems.append(Problem(place=_nearest(root, rule.key).place, key=rule.key, got=got, expected=rule.expected))
    return problems


def _unknown_key(detail: ErrorDetails, root: Mapping, schemas: dict[tuple[str, ...], Schema]) -> Problem:
    key = tuple(map(str, detail["loc"]))
    siblings = [path[-1] for path in schemas if path[:-1] == key[:-1]]
    if len(key) == 1:
        siblings.append("extends")
    return Problem(
        place=_nearest(root, key).place,
        key=key,
        got="an unknown key",
        expected=f"one of {', '.join(siblings)}",
        hint=_guess(key, siblings, schemas),
    )


def _guess(key: tuple[str, ...], siblings: list[str], schemas: dict[tuple[str, ...], Schema]) -> str | None:
    name = key[-1].lower().replace("-", "_")
    elsewhere = ["/".join(path) for path in schemas if path[-1] == name and path[:-1] != key[:-1]]
    near = difflib.get_close_matches(name, siblings, n=1, cutoff=0.6)
    if elsewhere and not (near and near[0] == name):
        return f"did you mean {' or '.join(elsewhere)}?"
    if near:
        return f"did you mean {near[0]}?"
    everywhere = {path[-1]: "/".join(path) for path in reversed(list(schemas))}
    far = difflib.get_close_matches(name, list(everywhere), n=1, cutoff=0.75)
    return f"did you mean {everywhere[far[0]]}?" if far else None


def _wrong_value(detail: ErrorDetails, root: Mapping, schemas: dict[tuple[str, ...], Schema]) -> Problem:
    key = tuple(map(str, detail["loc"]))
    about_key = key[-1:] == (_KEY_MARK,)
    key = key[:-1] if about_key else key
    node = find(root, key)
    if detail["type"] == "missing":
        got = "nothing"
    elif about_key:
        got = f"{key[-1]!r} as a variable's name"
    else:
        got = _got(node)
    expected = "letters, digits and underscores" if about_key else _expected(key, detail, schemas)
    return Problem(
        place=_nearest(root, key).place, key=key, got=got, expected=expected, hint=_hint(node, expected, detail["type"])
    )


def _expected(key: tuple[str, ...], detail: ErrorDetails, schemas: dict[tuple[str, ...], Schema]) -> str:
    schema = schemas.get(key)
    if schema is not None:
        return expected_words(schema)
    section = schemas.get(key[:-1], {})
    inside = section.get("anyOf", [section])[0].get("items")
    if inside is not None:
        return expected_words(inside)
    return "text" if section else detail["msg"].removeprefix("Input should be ")


def _hint(node: Node | None, expected: str, kind: str) -> str | None:
    if not isinstance(node, Scalar) or node.reference is not None:
        return None
    value = node.value
    if kind == "string_type" and isinstance(value, int | float):
        return f'put it in quotes: "{shown(value)}"'
    if not isinstance(value, str):
        return None
    if kind in ("int_type", "float_type", "bool_type"):
        return _hint_for_text(value, kind)
    near = difflib.get_close_matches(value.lower(), expected.split(" or "), n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near and kind == "literal_error" else None


def _hint_for_text(value: str, kind: str) -> str | None:
    """Say how a text that stands where a number or a truth value is expected may have been meant."""
    meant = plain_scalar(value)
    if meant is not None and not isinstance(meant, str):
        return "write it without quotes"
    if kind == "bool_type":
        truth = {"yes": "true", "on": "true", "no": "false", "off": "false"}.get(value.lower())
        return None if truth is None else f"write {truth}"
    digits = value.replace("_", "").replace(",", "")
    return f"write {digits}" if digits.isdecimal() and digits != value else None


def _got(node: Node | None) -> str:
    if node is None:
        return "nothing"
    if isinstance(node, Scalar) and node.variables:
        return f"the value of {' and '.join(node.variables)}, which the environment holds"
    return shown(plain(node))


def _nearest(root: Mapping, key: tuple[str, ...]) -> Node:
    """Return the node at a key path, or the nearest section around it that was written."""
    for length in range(len(key), 0, -1):
        if (node := find(root, key[:length])) is not None:
            return node
    return root
