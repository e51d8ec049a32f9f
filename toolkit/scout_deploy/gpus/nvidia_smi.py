"""What `nvidia-smi` prints, read. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from scout_deploy.gpus.driver_failure import (
    ACCESS_TAKEN,
    DRIVER_UPDATED,
    HOOK_FINDS_NO_DRIVER,
    MODULE_NOT_LOADED,
    NO_WORKING_GPU,
    NOT_PERMITTED,
    KnownFailure,
)
from scout_deploy.gpus.gpu import Gpu

# In this order: compute_cap is unknown to drivers before 510 (https://github.com/huggingface/candle/issues/733), and
# one unknown field fails the whole query; so the last two can be left out.
QUERY_FIELDS: tuple[str, ...] = (
    "index",
    "uuid",
    "name",
    "memory.total",
    "memory.used",
    "driver_version",
    "mig.mode.current",
    "compute_cap",
)
FIELDS_OF_OLD_DRIVERS = QUERY_FIELDS[:-2]

_MEBIBYTE = 2**20
_UNKNOWN = re.compile(
    r"^\[?(?:N/A|Not Supported|Unknown Error|GPU is lost|Insufficient Permissions.*)\]?$", re.IGNORECASE
)
_GPU_LINE = re.compile(r"^GPU (\d+): (.+?) \(UUID: (GPU-[0-9a-fA-F-]+)\)\s*$")
_MIG_LINE = re.compile(r"^\s+MIG (\S+)\s+Device\s+(\d+): \(UUID: (MIG-\S+?)\)\s*$")
_CUDA_VERSION = re.compile(r"CUDA (?:UMD )?Version\s*:\s*(\d+\.\d+)")
# Drivers from 610 on say `KMD Version` and `CUDA UMD Version` (https://github.com/sgl-project/sglang/issues/27487).
_DRIVER_VERSION = re.compile(r"(?:Driver|DRIVER|KMD) [Vv]ersion\s*:\s*(\d+(?:\.\d+)+)")


@dataclass(frozen=True, kw_only=True)
class MigInstance:
    """A slice of a GPU, such as profile `1g.10gb`."""

    profile: str
    uuid: str


@dataclass(frozen=True, kw_only=True)
class ListedGpu:
    """A GPU as `nvidia-smi -L` lists it."""

    index: int
    uuid: str
    name: str
    instances: tuple[MigInstance, ...] = ()


@dataclass(frozen=True, kw_only=True)
class QueryAnswer:
    """The answer to a query.

    Args:
        unread: Lines that are no GPU's, such as the driver's complaints.
    """

    gpus: tuple[Gpu, ...]
    driver_version: str | None
    unread: tuple[str, ...] = ()


def query_argv(fields: Sequence[str] = QUERY_FIELDS) -> tuple[str, ...]:
    """Return the command that asks for these fields of every GPU."""
    return ("nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits")


def is_unknown_field(output: str) -> bool:
    """Tell whether the query failed because the driver does not know one of its fields."""
    return "is not a valid field to query" in output


def parse_query(output: str, fields: Sequence[str] = QUERY_FIELDS) -> QueryAnswer:
    """Read the CSV that a query for these fields printed; without `index`, the lines' order counts."""
    gpus: list[Gpu] = []
    drivers: list[str] = []
    unread: list[str] = []
    for line in filter(None, map(str.strip, output.splitlines())):
        values = [value.strip() for value in line.split(", ")]
        if len(values) != len(fields):
            unread.append(line)
            continue
        known = {field: value for field, value in zip(fields, values, strict=True) if not _UNKNOWN.match(value)}
        gpus.append(_gpu(known, place=len(gpus)))
        drivers.extend([known["driver_version"]] if "driver_version" in known else [])
    return QueryAnswer(gpus=tuple(gpus), driver_version=drivers[0] if drivers else None, unread=tuple(unread))


def _gpu(values: Mapping[str, str], place: int) -> Gpu:
    index = values.get("index", "")
    return Gpu(
        index=int(index) if index.isdigit() else place,
        uuid=values.get("uuid", ""),
        name=values.get("name", "NVIDIA GPU"),
        vendor="nvidia",
        memory_total_bytes=_mebibytes(values.get("memory.total")),
        memory_used_bytes=_mebibytes(values.get("memory.used")),
        compute_capability=values.get("compute_cap"),
        mig=values.get("mig.mode.current") == "Enabled",
    )


def _mebibytes(value: str | None) -> int | None:
    return int(value) * _MEBIBYTE if value is not None and value.isdigit() else None


def parse_list(output: str) -> tuple[ListedGpu, ...]:
    """Read `nvidia-smi -L`; lines that are no GPU's and no MIG instance's are passed over."""
    return tuple(_listed(output.splitlines()))


def _listed(lines: list[str]) -> Iterator[ListedGpu]:
    gpu: ListedGpu | None = None
    instances: list[MigInstance] = []
    for line in lines:
        if (match := _MIG_LINE.match(line)) and gpu is not None:
            instances.append(MigInstance(profile=match[1], uuid=match[3]))
        elif match := _GPU_LINE.match(line):
            if gpu is not None:
                yield ListedGpu(index=gpu.index, uuid=gpu.uuid, name=gpu.name, instances=tuple(instances))
            gpu, instances = ListedGpu(index=int(match[1]), uuid=match[3], name=match[2]), []
    if gpu is not None:
        yield ListedGpu(index=gpu.index, uuid=gpu.uuid, name=gpu.name, instances=tuple(instances))


def cuda_version(output: str) -> str | None:
    """Return the newest CUDA that the driver can run, from the header of `nvidia-smi` or from its `--version`."""
    found = _CUDA_VERSION.search(output)
    return found[1] if found else None


def driver_version(output: str) -> str | None:
    """Return the driver's version, from the header of `nvidia-smi` or from its `--version`."""
    found = _DRIVER_VERSION.search(output)
    return found[1] if found else None


def explain_failure(output: str) -> KnownFailure | None:
    """Say why `nvidia-smi` could not see the GPUs; None for what is not known."""
    lowered = output.lower()
    return next((failure for sign, failure in _FAILURES if sign in lowered), None)


# Each sign is recorded under tests/data/gpus, with the address where a user posted it.
_FAILURES = (
    ("driver/library version mismatch", DRIVER_UPDATED),
    ("couldn't communicate with the nvidia driver", MODULE_NOT_LOADED),
    ("no devices were found", NO_WORKING_GPU),
    ("failed to initialize nvml: unknown error", ACCESS_TAKEN),
    ("failed to initialize nvml: insufficient permissions", NOT_PERMITTED),
    ("nvml error: driver not loaded", HOOK_FINDS_NO_DRIVER),
)
