"""One line of a data file: a prompt, or how long one is and how long its answer."""

import json
from dataclasses import dataclass
from typing import Any

_MOST_OF_A_LENGTH = 1_000_000
_DEFAULT_ANSWER = 512  # the API's own
_OF_A_PROMPT = {"prompt", "max_length"}
_OF_LENGTHS = {"input_tokens", "output_tokens"}


@dataclass(frozen=True, kw_only=True)
class DataRow:
    """Lengths, or a prompt of the user's own.

    Args:
        input_tokens: Roughly, where `prompt` is given.
        output_tokens: The most that may be answered.
    """

    input_tokens: int
    output_tokens: int
    prompt: str | None = None


class RowError(ValueError):
    """A line says something else."""


def read_row(line: str) -> DataRow:
    """Return what a line says.

    Raises:
        RowError: It says something else; why.
    """
    try:
        row = json.loads(line)
    except RecursionError:
        raise RowError("is nested too deep") from None
    except json.JSONDecodeError as exc:
        raise RowError(f"is not JSON: {exc.msg} at column {exc.colno}") from None
    except ValueError:
        # Python reads no integer of more digits than a few thousand.
        raise RowError(f"has a number that is too large: at most {_MOST_OF_A_LENGTH} is of use") from None
    if not isinstance(row, dict):
        raise RowError(f"should be an object, got {_short(row)}")
    return _prompt_row(row) if "prompt" in row else _length_row(row)


def _prompt_row(row: dict[str, Any]) -> DataRow:
    _refuse_others(row, _OF_A_PROMPT)
    prompt = row["prompt"]
    if not isinstance(prompt, str) or not prompt.strip():
        raise RowError(f"prompt should be a text that is not empty, got {_short(prompt)}")
    try:
        size = len(prompt.encode())
    except UnicodeEncodeError:
        raise RowError("prompt has half of a surrogate pair, which is no text") from None
    # Four bytes to a token is near enough for what this is used for: which prompts are the longest.
    return DataRow(input_tokens=-(-size // 4), output_tokens=_length(row, "max_length", _DEFAULT_ANSWER), prompt=prompt)


def _length_row(row: dict[str, Any]) -> DataRow:
    _refuse_others(row, _OF_LENGTHS)
    return DataRow(input_tokens=_length(row, "input_tokens"), output_tokens=_length(row, "output_tokens"))


def _refuse_others(row: dict[str, Any], known: set[str]) -> None:
    if others := sorted(row.keys() - known):
        raise RowError(f"has {', '.join(map(repr, others))}, expected {' and '.join(sorted(known))}")


def _length(row: dict[str, Any], name: str, default: int | None = None) -> int:
    value = row.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MOST_OF_A_LENGTH:
        got = _short(value) if name in row else "nothing"
        raise RowError(f"{name} should be an integer from 1 to {_MOST_OF_A_LENGTH}, got {got}")
    return value


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
