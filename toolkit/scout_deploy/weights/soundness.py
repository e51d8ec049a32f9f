"""Whether a model's files can be weights at all. Their checksums cannot tell: the owners may publish damage."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path

from scout_deploy.errors import WeightsError

INDEX_SUFFIX = ".safetensors.index.json"
_SUFFIX = ".safetensors"
# The format: eight bytes with the header's length, the header as JSON, and the tensors
# (https://huggingface.co/docs/safetensors). Its own reader refuses longer headers.
_LENGTH = struct.Struct("<Q")
_MOST_HEADER_BYTES = 100_000_000


def check_snapshot(folder: Path) -> None:
    """Refuse a folder whose index names shards that are missing, or with a safetensors file that cannot be read.

    Only indexes and headers are read. A folder without safetensors says nothing.

    Raises:
        WeightsError: It names the file.
    """
    names = {path.name for path in folder.iterdir()}
    for name in sorted(name for name in names if name.endswith(INDEX_SUFFIX)):
        check_index(folder / name, names)
    for name in sorted(name for name in names if name.endswith(_SUFFIX)):
        _check_header(folder / name)


def check_index(index: Path, names: set[str]) -> None:
    """Refuse an index that names files which are not among `names`.

    Raises:
        WeightsError: It does, or it is not an index.
    """
    missing = sorted(_indexed(index) - names)
    if missing:
        others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise WeightsError(
            f"{index.name} names {missing[0]}{others}, and there is no such file: the model is not complete",
            next_step="choose another revision, or copy of the model; the owners may be uploading this one",
        )


def _indexed(index: Path) -> set[str]:
    try:
        return set(map(str, json.loads(index.read_bytes())["weight_map"].values()))
    except (OSError, ValueError, RecursionError, LookupError, TypeError, AttributeError) as exc:
        raise WeightsError(
            f"{index.name} is not an index of weights", next_step="choose another revision, or copy of the model"
        ) from exc


def _check_header(path: Path) -> None:
    if problem := next(_problems(path), None):
        raise WeightsError(
            f"{path.name} is not a readable safetensors file: {problem}",
            next_step=f"remove {path} and fetch it again; if it comes the same, choose another revision of the model",
        )


def _problems(path: Path) -> Iterator[str]:
    try:
        size = path.stat().st_size
        with path.open("rb") as contents:
            length = _LENGTH.unpack(contents.read(_LENGTH.size))[0]
            if not 0 < length <= min(_MOST_HEADER_BYTES, size - _LENGTH.size):
                yield "its header would be longer than the file, or than any header is"
                return
            header = json.loads(contents.read(length))
        ends = [int(tensor["data_offsets"][1]) for name, tensor in header.items() if name != "__metadata__"]
    except OSError as exc:
        yield str(exc.strerror or exc)
    except (struct.error, ValueError, RecursionError, LookupError, TypeError, AttributeError):
        yield "its header cannot be read"
    else:
        has = size - _LENGTH.size - length
        if max(ends, default=0) != has:
            yield f"its header speaks of {max(ends, default=0)} bytes of tensors, and it has {has}"
