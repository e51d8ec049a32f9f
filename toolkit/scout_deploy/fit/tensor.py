"""The tensors of a checkpoint: names, shapes and stored bytes, and the short form in which they are recorded."""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeGuard

# The safetensors format's own names (https://github.com/huggingface/safetensors, `Dtype`), in bits.
DTYPE_BITS: Mapping[str, int] = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("F8_E4M3", "F8_E5M2", "F8_E8M0", "I8", "U8", "BOOL"), 8),
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "F4": 4,
}
# What engines turn into the number format that they compute in while they load it.
COMPUTED = frozenset({"F64", "F32", "F16", "BF16"})

_MOST_TENSORS = 1_000_000
_LARGEST_DIMENSION = 2**40
_LONGEST_HEADER = 100_000_000
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
_NUMBER = re.compile(r"\.\d+\.")
_LENGTH_BYTES = 8


class UnusableFactsError(Exception):
    """What a model publishes of itself cannot be true, or not be read; the message is the rest of a sentence."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor as it is stored, or several that are alike in everything but the numbers in their names.

    Args:
        name: The first one's.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    copies: int = 1

    @property
    def elements(self) -> int:
        """How many numbers all copies hold."""
        return math.prod(self.shape) * self.copies

    @property
    def stored_bytes(self) -> int:
        """What all copies take in their files."""
        return math.prod(self.shape) * DTYPE_BITS[self.dtype] // 8 * self.copies


def read_header(start: bytes, *, file: str) -> tuple[Tensor, ...]:
    """Read the tensors off the start of a safetensors file, header whole.

    Raises:
        UnusableFactsError: It is no header, or one that contradicts itself.
    """
    length = header_length(start, file=file)
    try:
        entries = json.loads(start[_LENGTH_BYTES : _LENGTH_BYTES + length])
    except (ValueError, RecursionError) as exc:
        raise UnusableFactsError(f"the header of {file} is damaged: {exc}") from exc
    if not isinstance(entries, dict):
        raise UnusableFactsError(f"the header of {file} is damaged: it is no JSON object")
    entries.pop("__metadata__", None)
    if len(entries) > _MOST_TENSORS:
        raise UnusableFactsError(f"the header of {file} names {len(entries):,} tensors, more than any model has")
    return tuple(_tensor(name, entry, file) for name, entry in entries.items())


def header_length(start: bytes, *, file: str) -> int:
    """Return the bytes of the header behind the first eight, which say it.

    Raises:
        UnusableFactsError: There are fewer than eight, or no header can be so long.
    """
    length = int.from_bytes(start[:_LENGTH_BYTES], "little")
    if len(start) < _LENGTH_BYTES or not 1 < length <= _LONGEST_HEADER:
        raise UnusableFactsError(f"{file} is no safetensors file: its first 8 bytes give no length of a header")
    return length


def _tensor(name: str, entry: object, file: str) -> Tensor:
    known: dict[str, Any] = entry if isinstance(entry, dict) else {}
    dtype, shape, offsets = known.get("dtype"), known.get("shape"), known.get("data_offsets")
    if not isinstance(dtype, str) or not _are_sizes(shape) or not _are_sizes(offsets):
        raise UnusableFactsError(
            f"the header of {file} is damaged: its tensor {name[:80]!r} has no type, shape or place"
        )
    tensor = tensor_of(name, dtype, shape, place=file)
    begin, end = offsets if len(offsets) == len(("begin", "end")) else (0, -1)
    if end - begin != tensor.stored_bytes:
        raise UnusableFactsError(
            f"the header of {file} is damaged: its tensor {name[:80]!r} has {end - begin:,} bytes, and its shape and "
            f"type make {tensor.stored_bytes:,}"
        )
    return tensor


def tensor_of(name: str, dtype: str, shape: Sequence[int], *, place: str) -> Tensor:
    """Return the tensor.

    Raises:
        UnusableFactsError: The type is unknown, or the shape absurd.
    """
    if dtype not in DTYPE_BITS:
        raise UnusableFactsError(f"{place} has a tensor of the unknown type {dtype[:40]!r}")
    if any(size > _LARGEST_DIMENSION for size in shape):
        raise UnusableFactsError(f"{place} has the tensor {name[:80]!r} of an absurd shape, {list(shape)}")
    return Tensor(name, dtype, tuple(shape))


def _are_sizes(value: object) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(one) is int and one >= 0 for one in value)


def gather(tensors: Iterable[Tensor]) -> tuple[Tensor, ...]:
    """Put together those that are alike in everything but the numbers in their names, such as the layers'."""
    groups: dict[tuple[str, str, tuple[int, ...]], tuple[str, int]] = {}
    for one in tensors:
        key = (_NUMBER.sub(".N.", one.name), one.dtype, one.shape)
        name, copies = groups.get(key, (one.name, 0))
        groups[key] = (name, copies + one.copies)
    return tuple(Tensor(name, dtype, shape, copies) for (_, dtype, shape), (name, copies) in groups.items())


def expand(recorded: Mapping[str, Sequence[object]]) -> Iterator[Tensor]:
    """Yield the tensors of a record, such as `layers.{0..47}.norm.weight: [BF16, 5120]` or `layers.0.norm.weight x48`.

    Raises:
        UnusableFactsError: It is not of that form.
    """
    for key, (dtype, *shape) in recorded.items():
        if not isinstance(dtype, str) or not _are_sizes(shape):
            raise UnusableFactsError(f"the record of {key!r} has no type and sizes")
        name, _, times = key.partition(" x")
        copies = math.prod(int(last) - int(first) + 1 for first, last in _RANGE.findall(name))
        one = tensor_of(_RANGE.sub(r"\1", name), dtype, shape, place="the record")
        yield replace(one, copies=copies * (int(times) if times.isdigit() else 1))


def record_of_tensors(tensors: Iterable[Tensor]) -> dict[str, list[object]]:
    """Return a record that `expand` reads."""
    return {
        one.name if one.copies == 1 else f"{one.name} x{one.copies}": [one.dtype, *one.shape] for one in gather(tensors)
    }
