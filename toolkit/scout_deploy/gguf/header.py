"""The layout of a GGUF file's header, read safely: every length is checked against the file, every count is bounded.

Source: the GGUF specification in the ggml project (docs/gguf.md), versions 2 and 3, little-endian.
"""

import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from mmap import mmap
from typing import TypeAlias

MAGIC = b"GGUF"
VERSIONS = (2, 3)

# Far above any real model's, far below what would keep a reader of a hostile file busy.
MAX_KEYS = 65_536
MAX_TENSORS = 131_072
MAX_STRINGS = 4_000_000
MAX_KEY_BYTES = 65_535
MAX_DIMENSIONS = 4
MAX_ARRAY_DEPTH = 3

_DEFAULT_ALIGNMENT = 32
_LONGEST_SHOWN = 60
_STRING, _ARRAY, _BOOL = 8, 9, 7
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", _BOOL: "?", 10: "Q", 11: "q", 12: "d"}

MetadataScalar: TypeAlias = str | int | float | bool


class MalformedGgufError(Exception):
    """The bytes are not those of a GGUF file that this reader knows; the message is the rest of "the file ..."."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ArrayAt:
    """An array of the metadata, left in the file until it is asked for."""

    kind: int
    count: int
    offset: int


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorAt:
    """One tensor. `kind` is ggml's number of its storage type, `offset` counts from the start of the tensors' data."""

    name: str
    dimensions: tuple[int, ...]
    kind: int
    offset: int

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.dimensions)


@dataclass(frozen=True, kw_only=True, slots=True)
class GgufHeader:
    """Everything before the tensors' data, which begins at `data_offset`."""

    version: int
    metadata: dict[str, MetadataScalar | ArrayAt]
    tensors: tuple[TensorAt, ...]
    data_offset: int


def read_header(data: bytes | mmap) -> GgufHeader:
    """Read the header of a whole file's bytes.

    Raises:
        MalformedGgufError: They are not those of a GGUF file, or of only a part of one.
    """
    cursor = _Cursor(data)
    if data[: len(MAGIC)] != MAGIC:
        raise MalformedGgufError("does not begin with the letters GGUF")
    cursor.position = len(MAGIC)
    version = cursor.number("I")
    if version not in VERSIONS:
        swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
        what = "is big-endian" if swapped in VERSIONS else f"has GGUF version {version}"
        raise MalformedGgufError(f"{what}; little-endian versions 2 and 3 are known")
    tensor_count = cursor.count(MAX_TENSORS, "tensors")
    key_count = cursor.count(MAX_KEYS, "metadata keys")
    metadata: dict[str, MetadataScalar | ArrayAt] = {}
    for _ in range(key_count):
        key = cursor.string(MAX_KEY_BYTES)
        if key in metadata:
            raise MalformedGgufError(f"has the metadata key {shorten(key)} twice")
        metadata[key] = cursor.value(cursor.number("I"))
    tensors = tuple(cursor.tensor() for _ in range(tensor_count))
    alignment = metadata.get("general.alignment", _DEFAULT_ALIGNMENT)
    if not isinstance(alignment, int) or alignment < 1 or alignment > len(data):
        raise MalformedGgufError(f"has the impossible alignment {shorten(alignment)}")
    return GgufHeader(
        version=version,
        metadata=metadata,
        tensors=tensors,
        data_offset=-(-cursor.position // alignment) * alignment,
    )


def read_strings(data: bytes | mmap, array: ArrayAt, wanted: Sequence[int]) -> dict[int, str]:
    """Return the texts at these indices, invalid UTF-8 replaced; indices that are out of range are left out.

    Args:
        array: An array of strings, from the header of the same data.
    """
    if array.kind != _STRING:
        return {}
    cursor = _Cursor(data)
    cursor.position = array.offset
    left = iter(sorted({index for index in wanted if 0 <= index < array.count}))
    found: dict[int, str] = {}
    following = next(left, None)
    for index, (start, end) in enumerate(cursor.string_bounds(array.count)):
        if following is None:
            break
        if index == following:
            found[index] = bytes(data[start:end]).decode("utf-8", errors="replace")
            following = next(left, None)
    return found


def read_numbers(data: bytes | mmap, array: ArrayAt) -> tuple[float, ...]:
    """Return an array of numbers; nothing for one of anything else."""
    code = _NUMBERS.get(array.kind)
    return () if code is None else struct.unpack_from(f"<{array.count}{code}", data, array.offset)


def shorten(value: object) -> str:
    """Return a value of a file for a message."""
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 3]}..."


class _Cursor:
    def __init__(self, data: bytes | mmap) -> None:
        self._data = data
        self._end = len(data)
        self._strings = 0
        self.position = 0

    def number(self, code: str) -> int:
        value = self._unpack(code)
        if not isinstance(value, int):
            raise TypeError(f"{code} is not the code of a whole number")
        return value

    def count(self, most: int, what: str) -> int:
        value = self.number("Q")
        if value > most:
            raise MalformedGgufError(f"claims to have {value} {what}")
        return value

    def string(self, most: int) -> str:
        length = self.number("Q")
        if length > most:
            raise MalformedGgufError(f"claims a text of {length} bytes where {most} are the most")
        start = self.position
        self._skip(length)
        try:
            return bytes(self._data[start : self.position]).decode("utf-8")
        except UnicodeDecodeError as exc:
            raise MalformedGgufError(f"holds a text at byte {start} that is not UTF-8") from exc

    def value(self, kind: int) -> MetadataScalar | ArrayAt:
        if kind == _STRING:
            return self.string(self._end)
        if kind == _ARRAY:
            return self._array(depth=1)
        if kind not in _NUMBERS:
            raise MalformedGgufError(f"has metadata of the unknown type {kind}")
        return self._unpack(_NUMBERS[kind])

    def tensor(self) -> TensorAt:
        name = self.string(MAX_KEY_BYTES)
        dimension_count = self.number("I")
        if dimension_count > MAX_DIMENSIONS:
            raise MalformedGgufError(f"has a tensor of {dimension_count} dimensions, {shorten(name)}")
        dimensions = tuple(self.number("Q") for _ in range(dimension_count))
        return TensorAt(name=name, dimensions=dimensions, kind=self.number("I"), offset=self.number("Q"))

    def string_bounds(self, count: int) -> Iterator[tuple[int, int]]:
        unpack, end, data = struct.Struct("<Q").unpack_from, self._end, self._data
        position = self.position
        for _ in range(count):
            if position + 8 > end:
                raise self._ends_early()
            start = position + 8
            position = start + unpack(data, position)[0]
            if position > end:
                raise self._ends_early()
            self.position = position
            yield start, position

    def _array(self, *, depth: int) -> ArrayAt:
        kind, count = self.number("I"), self.number("Q")
        array = ArrayAt(kind=kind, count=count, offset=self.position)
        if kind in _NUMBERS:
            self._skip(count * struct.calcsize(f"<{_NUMBERS[kind]}"))
        elif kind in (_STRING, _ARRAY):
            self._strings += count
            if self._strings > MAX_STRINGS or depth > MAX_ARRAY_DEPTH:
                raise MalformedGgufError(f"claims to have an array of {count} texts or arrays")
            self._skip_elements(kind, count, depth=depth)
        else:
            raise MalformedGgufError(f"has an array of the unknown type {kind}")
        return array

    def _skip_elements(self, kind: int, count: int, *, depth: int) -> None:
        if kind == _STRING:
            for _ in self.string_bounds(count):
                pass
        else:
            for _ in range(count):
                self._array(depth=depth + 1)

    def _unpack(self, code: str) -> int | float | bool:
        start = self.position
        self._skip(struct.calcsize(f"<{code}"))
        value: int | float | bool = struct.unpack_from(f"<{code}", self._data, start)[0]
        return value

    def _skip(self, length: int) -> None:
        if self.position + length > self._end:
            raise self._ends_early()
        self.position += length

    def _ends_early(self) -> MalformedGgufError:
        return MalformedGgufError(f"ends within its header, after {self._end} bytes")
