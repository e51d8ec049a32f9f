"""Read a GGUF file's metadata, and refuse a file that llama.cpp could not load.

The layout is ggml's docs/gguf.md: magic, version, counts, key-value pairs, tensor descriptions, then the tensors'
bytes, each at an offset from the end of the header rounded up to the alignment.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from scout_engine.errors import ModelFileError

_MAGIC = b"GGUF"
_READABLE_VERSIONS = (2, 3)
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_DEFAULT_ALIGNMENT = 32
# A string or an array longer than this is the mark of a damaged length field, not of a model.
_LONGEST = 1 << 28


@dataclass(frozen=True, kw_only=True)
class GgufMetadata:
    """The key-value pairs of one file, and where its last tensor begins."""

    values: Mapping[str, object]

    def text(self, key: str) -> str | None:
        """The value of `key` if it is a string."""
        value = self.values.get(key)
        return value if isinstance(value, str) else None

    def whole(self, key: str) -> int | None:
        """The value of `key` if it is an integer."""
        value = self.values.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def flag(self, key: str, *, default: bool) -> bool:
        """The value of `key` if it is a boolean."""
        value = self.values.get(key)
        return value if isinstance(value, bool) else default

    def array(self, key: str) -> list[object]:
        """The value of `key` if it is an array, else an empty list."""
        value = self.values.get(key)
        return value if isinstance(value, list) else []

    @property
    def context_length(self) -> int | None:
        """Tokens the model was trained for."""
        return self.whole(f"{self.text('general.architecture')}.context_length")


def read_metadata(path: Path) -> GgufMetadata:
    """Return the metadata of `path`.

    Raises:
        ModelFileError: The file is missing, unreadable, not GGUF, of an unknown version, or shorter than its header
        says.
    """
    try:
        with path.open("rb") as file:
            return _read(file, path.stat().st_size, path)
    except FileNotFoundError:
        raise ModelFileError(f"model file {path} does not exist; check the path given to --model") from None
    except IsADirectoryError:
        raise ModelFileError(f"model file {path} is a directory; --model names one .gguf file") from None
    except OSError as error:
        raise ModelFileError(f"model file {path} cannot be read: {error.strerror}; check its permissions") from error


def _read(file: BinaryIO, size_bytes: int, path: Path) -> GgufMetadata:
    magic = file.read(4)
    if magic != _MAGIC:
        raise ModelFileError(
            f"model file {path} is not GGUF: it starts with {magic!r} instead of {_MAGIC!r}; "
            "the engine serves GGUF files only (a Git LFS pointer or an HTML page saved as .gguf looks like this)"
        )
    try:
        return _read_after_magic(_Reader(file, size_bytes), size_bytes, path)
    except (_DamagedError, struct.error, UnicodeDecodeError) as error:
        raise ModelFileError(
            f"model file {path} ({size_bytes:,} bytes) is damaged or cut off: {error}; "
            "fetch it again and compare its checksum"
        ) from error


def _read_after_magic(reader: "_Reader", size_bytes: int, path: Path) -> GgufMetadata:
    version = reader.scalar("I")
    if version not in _READABLE_VERSIONS:
        raise ModelFileError(
            f"model file {path} is GGUF version {version}; versions {_READABLE_VERSIONS} are read: "
            "convert the model again"
        )
    tensor_count, pair_count = reader.length("tensor count"), reader.length("metadata count")
    values = {reader.string(): reader.value(reader.scalar("I")) for _ in range(pair_count)}
    last_offset = max((reader.tensor_offset() for _ in range(tensor_count)), default=0)
    metadata = GgufMetadata(values=values)
    alignment = metadata.whole("general.alignment") or _DEFAULT_ALIGNMENT
    tensors_at = -(-reader.position // alignment) * alignment
    if tensor_count == 0:
        raise _DamagedError("it holds no tensors")
    if tensors_at + last_offset >= size_bytes:
        raise _DamagedError(f"its last tensor begins at byte {tensors_at + last_offset:,}, behind the end of the file")
    return metadata


class _DamagedError(Exception):
    pass


class _Reader:
    """Little-endian values off a buffered file, each length checked against what is left."""

    def __init__(self, file: BinaryIO, size_bytes: int) -> None:
        self._file = file
        self._size_bytes = size_bytes
        self.position = 4

    def take(self, count: int) -> bytes:
        if self.position + count > self._size_bytes:
            raise _DamagedError(f"it ends inside its header, at byte {self._size_bytes:,}")
        self.position += count
        return self._file.read(count)

    def scalar(self, code: str) -> int:
        value = self.number(code)
        return int(value)

    def number(self, code: str) -> int | float | bool:
        layout = "<" + code
        number: int | float | bool = struct.unpack(layout, self.take(struct.calcsize(layout)))[0]
        return number

    def length(self, what: str) -> int:
        length = self.scalar("Q")
        if length > _LONGEST:
            raise _DamagedError(f"a {what} of {length:,} at byte {self.position - 8:,} cannot be right")
        return length

    def string(self) -> str:
        return self.take(self.length("string length")).decode("utf-8", "surrogateescape")

    def value(self, kind: int) -> object:
        if kind == _STRING:
            return self.string()
        if kind == _ARRAY:
            return self._array()
        if kind not in _SCALARS:
            raise _DamagedError(f"value type {kind} at byte {self.position - 4:,} does not exist")
        return self.number(_SCALARS[kind])

    def _array(self) -> list[object]:
        kind, length = self.scalar("I"), self.length("array length")
        if kind in _SCALARS:
            layout = f"<{length}{_SCALARS[kind]}"
            return list(struct.unpack(layout, self.take(struct.calcsize(layout))))
        if kind != _STRING:
            raise _DamagedError(f"an array of type {kind} at byte {self.position:,} does not exist")
        return [self.string() for _ in range(length)]

    def tensor_offset(self) -> int:
        """Pass one tensor's description: name, dimensions, type, offset."""
        self.string()
        dimensions = self.scalar("I")
        self.take(8 * dimensions + 4)
        return self.scalar("Q")
