"""`${env:NAME}` and `${env:NAME:-default}` in the values of a profile. Pure: the environment is an argument."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

# `$${` is a `${` that means nothing; the last branch catches whatever else begins like a reference.
_REFERENCE = re.compile(
    r"(?P<escaped>\$\$\{)"
    r"|\$\{env:(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^{}]*))?\}"
    r"|(?P<broken>\$\{[^}]*\}?)"
)


class VariableError(ValueError):
    """A reference cannot be resolved; never holds a variable's value."""

    def __init__(self, *, got: str, expected: str) -> None:
        super().__init__(f"got {got}, expected {expected}")
        self.got = got
        self.expected = expected


@dataclass(frozen=True, kw_only=True, slots=True)
class Expansion:
    """A text with its references resolved.

    Args:
        changed: There was a reference or an escape in it.
        variables: The variables whose values (not whose defaults) are in it.
    """

    text: str
    changed: bool
    variables: tuple[str, ...]


def expand(text: str, environment: Mapping[str, str]) -> Expansion:
    """Resolve every reference in a text. As in a shell's `:-`, a variable that is empty counts as not set.

    Raises:
        VariableError: A variable is not set and has no default, or a reference is malformed.
    """
    used: list[str] = []

    def resolve(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "${"
        if match["broken"]:
            raise VariableError(
                got=repr(match["broken"][:60]), expected="${env:NAME} or ${env:NAME:-default} (`$${` is a plain `${`)"
            )
        name, default = match["name"], match["default"]
        value = environment.get(name, "")
        if value:
            used.append(name)
            return _as_text(name, value)
        if default is None:
            state = "empty" if name in environment else "not set"
            raise VariableError(
                got=f"${{env:{name}}}, which is {state} in the environment",
                expected=f"a value: set {name}, or write ${{env:{name}:-default}}",
            )
        return default

    result, count = _REFERENCE.subn(resolve, text)
    return Expansion(text=result, changed=count > 0, variables=tuple(dict.fromkeys(used)))


def _as_text(name: str, value: str) -> str:
    if not value.isprintable():
        raise VariableError(
            got=f"${{env:{name}}}, which holds characters that are no text", expected="one line of text"
        )
    return value
