"""What a GGUF model file says of itself, without loading it."""

import mmap
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scout_deploy.errors import ModelFileError
from scout_deploy.gguf.header import (
    MAGIC,
    ArrayAt,
    GgufHeader,
    MalformedGgufError,
    MetadataScalar,
    TensorAt,
    read_header,
    shorten,
)
from scout_deploy.gguf.types import BLOCKS, FILE_TYPES
from scout_deploy.gguf.vocabulary import TEMPLATE_KEY, Metadata, Vocabulary, read_vocabulary, text_of, whole_number

_SPLIT_NAME = re.compile(r"(?P<stem>.+)-(?P<number>[0-9]{5})-of-(?P<count>[0-9]{5})\.gguf")
_CHECK_PATH = "Check the path; of a model in several files, name the first."
_DOWNLOAD_AGAIN = "Download the file again, and compare its size with the publisher's."

# What people take for a GGUF file, by its first bytes.
_MISTAKES = (
    (b"version https://git-lfs", "is a Git LFS pointer and not the file itself", "Run `git lfs pull` where it lies."),
    (b"<", "is a web page and not a model", "Download the file itself; a model behind a licence needs its token."),
    (b"PK\x03\x04", "is a PyTorch or zip file", "Choose a file that ends in .gguf from the model's publisher."),
    (b"tjgg", "is in a format older than GGUF", "Choose a file that ends in .gguf from the model's publisher."),
    (b"lmgg", "is in a format older than GGUF", "Choose a file that ends in .gguf from the model's publisher."),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class GgufFacts:
    """A model as its file describes it.

    Args:
        context_length: The most tokens that the model was made for, where the file says so.
        quantization: llama.cpp's name of how most weights are stored, such as `Q8_0`.
        adds_bos: Whether the engine puts `bos_token` before a prompt by itself, where the file says so.
        special_tokens: The texts of the tokens that steer the model, longest first: every control token, and of the
            user-defined ones those that the chat template writes.
        parameter_count: Over all parts of a split model, like `tensor_bytes`.
        parts: The files of the model, this one first; more than one for a split model.
        scalars: All metadata but arrays and the chat template, such as `llama4.block_count`.
    """

    path: Path
    version: int
    architecture: str
    name: str | None
    context_length: int | None
    quantization: str | None
    chat_template: str | None
    bos_token_id: int | None
    bos_token: str | None
    eos_token_id: int | None
    eos_token: str | None
    adds_bos: bool | None
    special_tokens: tuple[str, ...]
    vocabulary_size: int | None
    parameter_count: int
    tensor_bytes: int
    parts: tuple[Path, ...]
    scalars: Mapping[str, MetadataScalar]


def read_gguf(path: Path) -> GgufFacts:
    """Read a model file's header, and those of its other parts where it is split.

    Raises:
        ModelFileError: It is missing, unreadable, no GGUF file, cut short, or not the first of its parts.
    """
    with _mapped(path) as data:
        header = _header(path, data)
        vocabulary = read_vocabulary(data, header.metadata)
        sizes = [_sizes(path, header, len(data))]
    parts = _parts(path, header.metadata)
    for part in parts[1:]:
        with _mapped(part) as data:
            sizes.append(_sizes(part, _header(part, data), len(data)))
    return _facts(path, header, vocabulary, parts, sizes)


def _facts(
    path: Path, header: GgufHeader, vocabulary: Vocabulary, parts: tuple[Path, ...], sizes: list[tuple[int, int]]
) -> GgufFacts:
    scalars = {key: value for key, value in header.metadata.items() if not isinstance(value, ArrayAt)}
    scalars.pop(TEMPLATE_KEY, None)
    architecture = text_of(header.metadata, "general.architecture")
    if not architecture:
        raise ModelFileError(
            f"{path}: names no architecture (general.architecture), so it is no model", next_step=_DOWNLOAD_AGAIN
        )
    parameter_count = sum(parameters for parameters, _ in sizes)
    if parameter_count == 0:
        raise ModelFileError(
            f"{path}: holds no weights", next_step="Choose a model file; this may be a vocabulary only."
        )
    file_type = whole_number(header.metadata, "general.file_type")
    return GgufFacts(
        path=path,
        version=header.version,
        architecture=architecture,
        name=text_of(header.metadata, "general.name"),
        context_length=whole_number(header.metadata, f"{architecture}.context_length"),
        quantization=None if file_type is None else FILE_TYPES.get(file_type),
        chat_template=text_of(header.metadata, TEMPLATE_KEY),
        bos_token_id=vocabulary.bos_token_id,
        bos_token=vocabulary.bos_token,
        eos_token_id=vocabulary.eos_token_id,
        eos_token=vocabulary.eos_token,
        adds_bos=vocabulary.adds_bos,
        special_tokens=vocabulary.special_tokens,
        vocabulary_size=vocabulary.size,
        parameter_count=parameter_count,
        tensor_bytes=sum(size for _, size in sizes),
        parts=parts,
        scalars=scalars,
    )


@contextmanager
def _mapped(path: Path) -> Iterator[mmap.mmap]:
    try:
        if not path.is_file():
            what = "is a directory" if path.is_dir() else "is not a regular file"
            if not path.exists():
                what = "there is no such file"
            raise ModelFileError(f"{path}: {what}, expected a GGUF model file", next_step=_CHECK_PATH)
        with path.open("rb") as file:
            if not file.peek(1):
                raise ModelFileError(f"{path}: is empty", next_step=_DOWNLOAD_AGAIN)
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                yield data
    except OSError as exc:
        raise ModelFileError(f"{path}: cannot be read: {exc.strerror}", next_step=_CHECK_PATH) from exc


def _header(path: Path, data: mmap.mmap) -> GgufHeader:
    start = data[:32]
    for magic, what, next_step in _MISTAKES:
        if start.startswith(magic):
            raise ModelFileError(f"{path}: {what}", next_step=next_step)
    try:
        return read_header(data)
    except MalformedGgufError as exc:
        likely = "; it was most likely cut short or damaged on the way" if start.startswith(MAGIC) else ""
        raise ModelFileError(
            f"{path}: is not a usable GGUF model file: it {exc}{likely}", next_step=_DOWNLOAD_AGAIN
        ) from exc


def _sizes(path: Path, header: GgufHeader, file_bytes: int) -> tuple[int, int]:
    """Return the number of parameters and the bytes of their tensors, which must lie within the file."""
    parameters = sum(tensor.elements for tensor in header.tensors)
    if any(tensor.kind not in BLOCKS for tensor in header.tensors):
        # A storage type newer than the table: the engine may know it, so it is no error here.
        return parameters, max(0, file_bytes - header.data_offset)
    sizes = [_tensor_bytes(path, tensor) for tensor in header.tensors]
    ends = [header.data_offset + tensor.offset + size for tensor, size in zip(header.tensors, sizes, strict=True)]
    if max(ends, default=0) > file_bytes:
        raise ModelFileError(
            f"{path}: has {file_bytes:,} bytes where its tensors need {max(ends):,}; "
            "it was most likely cut short on the way",
            next_step=_DOWNLOAD_AGAIN,
        )
    return parameters, sum(sizes)


def _tensor_bytes(path: Path, tensor: TensorAt) -> int:
    block, size = BLOCKS[tensor.kind]
    if tensor.dimensions and tensor.dimensions[0] % block:
        raise ModelFileError(
            f"{path}: its tensor {shorten(tensor.name)} has rows of {tensor.dimensions[0]} numbers, which blocks of "
            f"{block} do not divide; the file is damaged",
            next_step=_DOWNLOAD_AGAIN,
        )
    return tensor.elements // block * size


def _parts(path: Path, metadata: Metadata) -> tuple[Path, ...]:
    """Return all files of the model; llama.cpp finds the others by the name of the first."""
    name = _SPLIT_NAME.fullmatch(path.name)
    count = whole_number(metadata, "split.count") or (int(name["count"]) if name is not None else 1)
    if count == 1:
        return (path,)
    number = (
        (whole_number(metadata, "split.no") or 0) + 1 if "split.no" in metadata else int(name["number"]) if name else 1
    )
    if name is None or int(name["count"]) != count or int(name["number"]) != number:
        raise ModelFileError(
            f"{path}: is part {number} of a model in {count} files, and is not named so",
            next_step=f"Give the files their published names, which end in -{number:05}-of-{count:05}.gguf.",
        )
    parts = tuple(path.with_name(f"{name['stem']}-{part:05}-of-{count:05}.gguf") for part in range(1, count + 1))
    if number != 1:
        raise ModelFileError(
            f"{path}: is part {number} of a model in {count} files", next_step=f"Name the first: {parts[0]}"
        )
    missing = [part.name for part in parts if not part.is_file()]
    if missing:
        raise ModelFileError(
            f"{path}: is the first of {count} files, of which {len(missing)} are missing: {', '.join(missing[:5])}",
            next_step="Download all parts of the model into one folder.",
        )
    return parts
