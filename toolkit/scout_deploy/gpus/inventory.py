"""The GPUs of a machine, as the drivers' own tools report them."""

from dataclasses import dataclass
from pathlib import Path

from scout_deploy.gpus import nvidia_smi, rocm_smi
from scout_deploy.gpus.gpu import Gpu
from scout_deploy.gpus.tool import RunTool, run_local
from scout_deploy.machine import visible_gpus

_LONGEST_COMPLAINT = 300


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """What there is.

    Args:
        gpus: Of one vendor: NVIDIA's where there are any, else AMD's.
        driver_version: Such as `535.216.01`.
        cuda_version: The newest CUDA that the driver can run, such as `12.2`.
        loaded: Names of GPUs whose driver is loaded although its tool cannot report them.
        problem: Why GPUs that should be there cannot be used.
        remedy: What helps, where that is known.
    """

    gpus: tuple[Gpu, ...] = ()
    driver_version: str | None = None
    cuda_version: str | None = None
    loaded: tuple[str, ...] = ()
    problem: str | None = None
    remedy: str | None = None


def read_inventory(run: RunTool, *, loaded: tuple[str, ...] = ()) -> Inventory:
    """Ask the tools for the GPUs; a tool that is missing or fails is part of the answer.

    Args:
        loaded: Names of the GPUs whose driver is loaded, by another way of knowing.
    """
    nvidia = _read_nvidia(run)
    if nvidia.gpus:
        return nvidia
    amd = _read_amd(run)
    if amd.gpus:
        return amd
    failed = nvidia if nvidia.problem else amd
    problem, remedy = failed.problem, failed.remedy
    if problem is None and loaded:
        problem = "the driver is loaded, but its nvidia-smi or rocm-smi is not installed here"
        remedy = "install the driver's tools, and have them in PATH"
    return Inventory(loaded=loaded, problem=problem, remedy=remedy)


def read_local_inventory(root: Path = Path("/")) -> Inventory:
    """Report this machine's GPUs.

    Args:
        root: Where `/proc` and `/dev` are.
    """
    return read_inventory(run_local, loaded=visible_gpus(root))


def _read_nvidia(run: RunTool) -> Inventory:
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
        problem=problem,
        remedy=None if failure is None else failure.remedy,
    )


def _problem(complaint: str, status: int, failure: nvidia_smi.KnownFailure | None) -> str:
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
    return Inventory(gpus=gpus, driver_version=rocm_smi.driver_version(answer.text))
