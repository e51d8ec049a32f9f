"""The GPUs of a machine: by NVIDIA's library, else by the drivers' own tools."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scout_deploy.gpus import nvidia_smi, nvml, rocm_smi
from scout_deploy.gpus.driver_failure import KnownFailure
from scout_deploy.gpus.gpu import Gpu
from scout_deploy.gpus.nvml import NvmlReading, read_nvml
from scout_deploy.gpus.tool import RunTool, run_local
from scout_deploy.machine import is_container, visible_gpus

_LONGEST_COMPLAINT = 300
_IN_CONTAINER = (
    "this is a container without the driver's libraries: give it GPUs (docker run --gpus all), and to an image of your "
    "own NVIDIA_DRIVER_CAPABILITIES=compute,utility"
)
# Where a container's GPUs are asked for, there is no library of this process.
_NOT_ASKED = NvmlReading(is_absent=True)


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """What there is.

    Args:
        gpus: Of one vendor: NVIDIA's where there are any, else AMD's.
        driver_version: Such as `535.216.01`.
        cuda_version: The newest CUDA that the driver can run, such as `12.2`.
        source: Who told it, such as `NVML`; with the reason where that is not the first choice.
        loaded: Names of GPUs whose driver is loaded although neither library nor tool can report them.
        problem: Why GPUs that should be there cannot be used.
        remedy: What helps, where that is known.
    """

    gpus: tuple[Gpu, ...] = ()
    driver_version: str | None = None
    cuda_version: str | None = None
    source: str | None = None
    loaded: tuple[str, ...] = ()
    problem: str | None = None
    remedy: str | None = None


def read_inventory(
    run: RunTool, *, asked: NvmlReading = _NOT_ASKED, loaded: tuple[str, ...] = (), in_container: bool = False
) -> Inventory:
    """Ask the tools for the GPUs that NVML did not tell; a tool that is missing or fails is part of the answer.

    Args:
        asked: What NVML answered.
        loaded: Names of the GPUs whose driver is loaded, by another way of knowing.
        in_container: Whether the tools run in a container.
    """
    if asked.gpus:
        return _of_nvml(asked)
    # A tool would wait for the same driver.
    nvidia = Inventory() if asked.is_hanging else _read_nvidia(run, asked)
    if nvidia.gpus:
        return nvidia
    amd = _read_amd(run)
    if amd.gpus:
        return amd
    failed = next((one for one in (_of_nvml(asked), nvidia, amd) if one.problem), Inventory())
    problem, remedy = failed.problem, failed.remedy
    if problem is None and loaded:
        problem = (
            f"the driver is loaded, but neither its library ({nvml.LIBRARY}) nor its nvidia-smi or rocm-smi is "
            "installed here"
        )
        remedy = _IN_CONTAINER if in_container else "install the driver's libraries and tools, the latter in PATH"
    return Inventory(loaded=loaded, problem=problem, remedy=remedy)


def read_local_inventory(root: Path = Path("/"), *, ask: Callable[[], NvmlReading] = read_nvml) -> Inventory:
    """Report this machine's GPUs.

    Args:
        root: Where `/proc` and `/dev` are.
        ask: Asks NVML.
    """
    return read_inventory(run_local, asked=ask(), loaded=visible_gpus(root), in_container=is_container(root))


def _of_nvml(asked: NvmlReading) -> Inventory:
    return Inventory(
        gpus=asked.gpus,
        driver_version=asked.driver_version,
        cuda_version=asked.cuda_version,
        source="NVML",
        # That nobody could be asked is no problem of the GPUs.
        problem=None if asked.is_absent else asked.problem,
        remedy=asked.remedy,
    )


def _read_nvidia(run: RunTool, asked: NvmlReading) -> Inventory:
    fields = nvidia_smi.QUERY_FIELDS
    answer = run(nvidia_smi.query_argv(fields))
    if nvidia_smi.is_unknown_field(answer.text):
        fields = nvidia_smi.FIELDS_OF_OLD_DRIVERS
        answer = run(nvidia_smi.query_argv(fields))
    if answer.status is None:
        return Inventory(problem=answer.text or None)
    read = nvidia_smi.parse_query(answer.text, fields)
    complaint = answer.text if not read.gpus else "\n".join(read.unread)
    failure = nvidia_smi.explain_failure(complaint)
    problem = _problem(complaint, answer.status, failure) if complaint or not read.gpus else None
    return Inventory(
        gpus=read.gpus,
        driver_version=read.driver_version,
        cuda_version=nvidia_smi.cuda_version(run(("nvidia-smi",)).text) if read.gpus else None,
        source="nvidia-smi" + (f", as {asked.problem}" if asked.problem else ""),
        problem=problem,
        remedy=None if failure is None else failure.remedy,
    )


def _problem(complaint: str, status: int, failure: KnownFailure | None) -> str:
    said = " ".join(complaint.split())[:_LONGEST_COMPLAINT] or f"nothing, and ended with status {status}"
    return f"nvidia-smi said: {said}" + (f" ({failure.cause})" if failure is not None else "")


def _read_amd(run: RunTool) -> Inventory:
    answer = run(rocm_smi.QUERY_ARGV)
    if answer.status is None:
        return Inventory(problem=answer.text or None)
    try:
        gpus = rocm_smi.parse_cards(answer.text)
    except ValueError as exc:
        return Inventory(problem=str(exc))
    return Inventory(gpus=gpus, driver_version=rocm_smi.driver_version(answer.text), source="rocm-smi")
