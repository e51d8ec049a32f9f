"""API keys as text: one on each line, `name: key`, and limits of its own behind it. Pure.

What cannot be read is named by its line and never shown: it may be a key.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from scout_deploy.api_keys.named_key import NamedKey, key_problem, name_problem
from scout_deploy.errors import ProfileError

_NONE = "none"
_PER_MINUTE, _AT_ONCE = "requests_per_minute", "max_concurrent"
_FORM = "`name: key`, and behind it requests_per_minute=N or max_concurrent=N where this key has limits of its own"
_NEXT_STEP = "scout-deploy keys new NAME makes a key and shows its line"
_MOST = 1_000_000


@dataclass(frozen=True, kw_only=True)
class KeyDefaults:
    """The limits of every key whose line says nothing else."""

    requests_per_minute: float | None = None
    max_concurrent: int | None = None


class _LineError(Exception):
    """What is wrong with a line, in words that hold nothing of it but a good name."""


def parse_keys(text: str, source: str, defaults: KeyDefaults, *, separator: str = "\n") -> tuple[NamedKey, ...]:
    """Read all keys.

    Args:
        source: Where the text is from, for messages.
        separator: Ends a line, besides a line break.

    Raises:
        ProfileError: Nothing is in it, or lines are wrong: each on a line of its own, by its number.
    """
    keys: list[NamedKey] = []
    lines_of: dict[str, int] = {}
    problems: list[str] = []
    for number, line in _lines(text, separator):
        try:
            key = _parse(line, defaults)
            _check_new(key, keys, lines_of)
        except _LineError as exc:
            problems.append(f"{source}: line {number}: {exc}")
            continue
        keys.append(key)
        lines_of[key.name] = number
    if problems:
        raise ProfileError("\n".join(problems), next_step=_NEXT_STEP)
    if not keys:
        raise ProfileError(
            f"{source}: there is no API key in it; expected lines of the form {_FORM}", next_step=_NEXT_STEP
        )
    return tuple(keys)


def key_line(key: NamedKey) -> str:
    """Write a key as its line; limits that are not set are left to the defaults."""
    limits = "".join(
        f" {name}={value:g}" for name in (_PER_MINUTE, _AT_ONCE) if (value := getattr(key, name)) is not None
    )
    return f"{key.name}: {key.key}{limits}"


def _lines(text: str, separator: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(re.split(f"[\n{re.escape(separator)}]", text), start=1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            yield number, stripped


def _parse(line: str, defaults: KeyDefaults) -> NamedKey:
    name, colon, rest = line.partition(":")
    name, words = name.strip(), rest.split()
    if not colon or not words:
        raise _LineError(f"expected {_FORM}")
    if problem := name_problem(name):
        raise _LineError(problem)
    if problem := key_problem(words[0]):
        raise _LineError(f"'{name}': {problem}")
    limits = _own_limits(name, words[1:])
    per_minute = limits.get(_PER_MINUTE, defaults.requests_per_minute)
    at_once = limits.get(_AT_ONCE, defaults.max_concurrent)
    return NamedKey(
        name=name,
        key=words[0],
        requests_per_minute=per_minute,
        max_concurrent=None if at_once is None else int(at_once),
    )


def _own_limits(name: str, words: list[str]) -> dict[str, float | None]:
    limits: dict[str, float | None] = {}
    for word in words:
        limit, _, text = word.partition("=")
        if limit not in (_PER_MINUTE, _AT_ONCE) or limit in limits:
            raise _LineError(f"'{name}': behind its key, expected requests_per_minute=N or max_concurrent=N, each once")
        limits[limit] = None if text == _NONE else _number(name, limit, text)
    return limits


def _number(name: str, limit: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    is_whole = limit == _AT_ONCE
    if not 0 < value <= _MOST or (is_whole and value != int(value)):
        expected = "a whole number, 1 or more" if is_whole else "a number above 0"
        raise _LineError(f"'{name}': {limit} should be {expected}, at most {_MOST}, or {_NONE}")
    return value


def _check_new(key: NamedKey, others: list[NamedKey], lines_of: dict[str, int]) -> None:
    for other in others:
        if other.name == key.name:
            raise _LineError(f"'{key.name}' is on line {lines_of[other.name]} already")
        if other.key == key.key:
            raise _LineError(f"'{key.name}' has the same key as '{other.name}' on line {lines_of[other.name]}")
