"""Read typed fields off a JSON body, and refuse in the words of TGI's web framework.

TGI's router deserializes into Rust types: a JSON number for a number, no string for it, integers within their width,
32-bit floats. What does not fit is answered as text/plain with status 422, what is not JSON with 400. Unknown fields
are ignored there, and here.
"""

import json
import math
import struct
from collections.abc import Mapping
from typing import Never

from scout_engine.errors import BodyError

_U32 = (0, 2**32 - 1)
_U64 = (0, 2**64 - 1)
_I32 = (-(2**31), 2**31 - 1)
_INTEGER_RANGES = {"u32": _U32, "usize": _U64, "u64": _U64, "i32": _I32}
_NESTING_LIMIT = 127  # serde_json's recursion limit


def parse_json(body: bytes) -> object:
    """Return the JSON value in `body`.

    Raises:
        BodyError: 400; the body is not UTF-8, not JSON, nested too deeply, or holds a number outside of 64-bit floats.
    """
    try:
        value: object = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError:
        raise _syntax_error("invalid unicode code point") from None
    except RecursionError:
        raise _syntax_error("recursion limit exceeded") from None
    except json.JSONDecodeError as error:
        raise _syntax_error(f"{error.msg} at line {error.lineno} column {error.colno}") from None
    except ValueError:
        raise _syntax_error("number out of range") from None
    if _depth_exceeds(value, _NESTING_LIMIT):
        raise _syntax_error("recursion limit exceeded")
    return value


def _refuse_constant(name: str) -> Never:
    raise json.JSONDecodeError(f"expected value, got {name}", name, 0)


def _syntax_error(why: str) -> BodyError:
    return BodyError(400, f"Failed to parse the request body as JSON: {why}")


def _depth_exceeds(value: object, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        level = [child for parent in level for child in _children(parent)]
        if not level:
            return False
    return True


def _children(value: object) -> list[object]:
    if isinstance(value, dict):
        return [child for child in value.values() if isinstance(child, (dict, list))]
    if isinstance(value, list):
        return [child for child in value if isinstance(child, (dict, list))]
    return []


class Fields:
    """One JSON object, read field by field; null is absent. Every reader raises BodyError (422) on a wrong type."""

    def __init__(self, value: object, path: str = "", *, expected: str = "struct") -> None:
        if not isinstance(value, dict):
            refuse(path, f"invalid type: {describe(value)}, expected {expected}")
        self._values: Mapping[str, object] = value
        self._path = path

    def get(self, name: str) -> object:
        """The raw value; None when absent or null."""
        return self._values.get(name)

    def has(self, name: str) -> bool:
        """Whether the field is there, null or not."""
        return name in self._values

    def path(self, name: str) -> str:
        """The field's name as errors write it."""
        return f"{self._path}.{name}" if self._path else name

    def text(self, name: str) -> str:
        """A string that has to be there."""
        if name not in self._values:
            refuse(self._path, f"missing field `{name}`")
        return as_text(self._values[name], self.path(name))

    def optional_text(self, name: str) -> str | None:
        """A string or nothing."""
        value = self._values.get(name)
        return None if value is None else as_text(value, self.path(name))

    def texts(self, name: str) -> list[str] | None:
        """A list of strings or nothing."""
        value = self._values.get(name)
        if value is None:
            return None
        if not isinstance(value, list):
            refuse(self.path(name), f"invalid type: {describe(value)}, expected a sequence")
        return [as_text(item, f"{self.path(name)}[{index}]") for index, item in enumerate(value)]

    def flag(self, name: str) -> bool:
        """A boolean, false when absent. Unlike elsewhere null is wrong here, as it is for TGI."""
        value = self._values.get(name, False)
        if not isinstance(value, bool):
            refuse(self.path(name), f"invalid type: {describe(value)}, expected a boolean")
        return value

    def optional_flag(self, name: str) -> bool | None:
        """A boolean or nothing."""
        return None if self._values.get(name) is None else self.flag(name)

    def whole(self, name: str, kind: str) -> int | None:
        """An integer of the Rust type `kind`, or nothing."""
        value = self._values.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            refuse(self.path(name), f"invalid type: {describe(value)}, expected {kind}")
        low, high = _INTEGER_RANGES[kind]
        if not low <= value <= high:
            refuse(self.path(name), f"invalid value: {describe(value)}, expected {kind}")
        return value

    def real(self, name: str) -> float | None:
        """A number rounded to 32 bits, or nothing."""
        value = self._values.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            refuse(self.path(name), f"invalid type: {describe(value)}, expected f32")
        return _round_to_f32(value, self.path(name))


def _round_to_f32(value: float, path: str) -> float:
    try:
        rounded: float = struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        rounded = math.inf
    if not math.isfinite(rounded):
        refuse(path, "number out of range, expected f32")
    return rounded


def as_text(value: object, path: str) -> str:
    """Return `value` if it is a string that UTF-8 can carry."""
    if not isinstance(value, str):
        refuse(path, f"invalid type: {describe(value)}, expected a string")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise _syntax_error(f"{path}: lone surrogate in a string, at character {error.start}") from None
    return value


def refuse(path: str, why: str) -> Never:
    """Raise the 422 of a field that has the wrong type."""
    where = f"{path}: " if path else ""
    raise BodyError(422, f"Failed to deserialize the JSON body into the target type: {where}{why}")


def describe(value: object) -> str:
    """Name a JSON value as serde does."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return f"boolean `{str(value).lower()}`"
    if isinstance(value, int):
        return f"integer `{value}`" if abs(value) < 2**64 else "integer beyond 64 bits"
    if isinstance(value, float):
        return f"floating point `{value}`"
    if isinstance(value, str):
        return f"string {json.dumps(value[:100])}"
    return "map" if isinstance(value, dict) else "sequence"
