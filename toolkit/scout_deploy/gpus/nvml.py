"""NVIDIA's GPUs as the driver's own library, NVML, tells them. The only file of this room that imports `pynvml`.

Unproven on hardware: tested with a library whose functions answer as NVIDIA's nvml.h documents, and with what
`nvidia-smi`, which asks the same library, printed on an H100.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeVar

from scout_deploy.gpus.driver_failure import (
    ACCESS_TAKEN,
    DRIVER_UPDATED,
    GPU_LOST,
    GPU_NEEDS_RESET,
    MODULE_NOT_LOADED,
    NO_WORKING_GPU,
    NOT_PERMITTED,
    KnownFailure,
)
from scout_deploy.gpus.gpu import Gpu, GpuProcess

LIBRARY = "libnvidia-ml.so.1"

# A GPU that fell off its bus makes the driver hang; a healthy one without persistence mode takes some seconds.
_TIMEOUT_S = 30.0

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class NvmlReading:
    """What NVML answered.

    Args:
        is_absent: Nobody was asked: the library is not there, or older than its functions that are used here.
        is_hanging: It did not answer, and whoever asks the driver in another way waits too.
        problem: What it could not tell, in its own words, with the cause where that is known.
    """

    gpus: tuple[Gpu, ...] = ()
    driver_version: str | None = None
    cuda_version: str | None = None
    is_absent: bool = False
    is_hanging: bool = False
    problem: str | None = None
    remedy: str | None = None


def read_nvml(timeout_s: float = _TIMEOUT_S) -> NvmlReading:
    """Ask NVML for the GPUs of this machine; a library that is missing or fails is part of the answer."""
    answers: list[NvmlReading] = []
    # A call into a driver that hangs cannot be ended, only left behind.
    asking = threading.Thread(target=lambda: answers.append(_read()), daemon=True, name="nvml")
    asking.start()
    asking.join(timeout_s)
    if answers:
        return answers[0]
    return NvmlReading(
        is_hanging=True,
        problem=f"NVML did not answer within {timeout_s:g} s ({GPU_LOST.cause})",
        remedy=GPU_LOST.remedy,
    )


def _read() -> NvmlReading:
    # It reads 8,000 lines, in a twentieth of a second that most commands need not spend.
    import pynvml

    try:
        with _initialized(pynvml):
            return _Library(pynvml).read()
    except pynvml.NVMLError as error:
        return _failed(pynvml, error)


@contextmanager
def _initialized(nvml: ModuleType) -> Iterator[None]:
    nvml.nvmlInit()
    try:
        yield
    finally:
        nvml.nvmlShutdown()


class _Library:
    """NVML, initialized."""

    def __init__(self, nvml: ModuleType) -> None:
        self._nvml = nvml
        # What it does not say although it should, by GPU.
        self._untold: list[str] = []
        self._remedies: list[str] = []

    def read(self) -> NvmlReading:
        nvml = self._nvml
        count = nvml.nvmlDeviceGetCount()
        gpus = tuple(gpu for index in range(count) if (gpu := self._gpu(index)) is not None)
        if not count:
            self._untold.append(f"NVML said: no device ({NO_WORKING_GPU.cause})")
            self._remedies.append(NO_WORKING_GPU.remedy)
        return NvmlReading(
            gpus=gpus,
            driver_version=self._optional(nvml.nvmlSystemGetDriverVersion),
            cuda_version=_cuda_version(self._optional(nvml.nvmlSystemGetCudaDriverVersion_v2)),
            problem="; ".join(self._untold) or None,
            remedy=self._remedies[0] if self._remedies else None,
        )

    def _gpu(self, index: int) -> Gpu | None:
        nvml = self._nvml
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            # A lost GPU still has a handle, and no name.
            name = nvml.nvmlDeviceGetName(handle)
        except nvml.NVMLError as error:
            self._tell(f"GPU {index}", error)
            return None
        memory = self._memory(index, handle)
        capability = self._optional(nvml.nvmlDeviceGetCudaComputeCapability, handle)
        mig = self._optional(nvml.nvmlDeviceGetMigMode, handle)
        return Gpu(
            index=index,
            uuid=self._optional(nvml.nvmlDeviceGetUUID, handle) or "",
            name=name,
            memory_total_bytes=None if memory is None else memory.total,
            memory_used_bytes=None if memory is None else memory.used,
            compute_capability=None if capability is None else f"{capability[0]}.{capability[1]}",
            mig=mig is not None and mig[0] == nvml.NVML_DEVICE_MIG_ENABLE,
            processes=tuple(self._processes(handle)),
        )

    def _memory(self, index: int, handle: object) -> Any:
        """Return total and used memory; None where the GPU has none of its own, or nobody may know."""
        nvml = self._nvml
        try:
            try:
                # The second version counts what the driver itself reserves apart, as nvidia-smi does.
                return nvml.nvmlDeviceGetMemoryInfo(handle, version=nvml.nvmlMemory_v2)
            except (nvml.NVMLError_FunctionNotFound, nvml.NVMLError_ArgumentVersionMismatch):
                # Drivers before 510.
                return nvml.nvmlDeviceGetMemoryInfo(handle)
        except nvml.NVMLError_NotSupported:
            # It shares the machine's memory, as GB10 does.
            return None
        except nvml.NVMLError as error:
            self._tell(f"the memory of GPU {index}", error)
            return None

    def _processes(self, handle: object) -> Iterator[GpuProcess]:
        nvml = self._nvml
        # In a container, those of others are not shown; without permission, none is.
        for one in self._optional(nvml.nvmlDeviceGetComputeRunningProcesses, handle) or ():
            name = self._optional(nvml.nvmlSystemGetProcessName, one.pid)
            yield GpuProcess(pid=one.pid, name=(name or "").rpartition("/")[2], memory_bytes=one.usedGpuMemory)

    def _optional(self, ask: Callable[..., _T], *arguments: object) -> _T | None:
        """Ask for what is good to know; not every driver, GPU and user gets an answer."""
        try:
            return ask(*arguments)
        except (self._nvml.NVMLError, UnicodeDecodeError):
            return None

    def _tell(self, subject: str, error: Any) -> None:
        known = _known(self._nvml, error)
        self._untold.append(f"NVML said of {subject}: {error}" + (f" ({known.cause})" if known is not None else ""))
        if known is not None:
            self._remedies.append(known.remedy)


def _cuda_version(number: int | None) -> str | None:
    # nvml.h nvmlSystemGetCudaDriverVersion_v2: major * 1000 + minor * 10.
    return None if number is None else f"{number // 1000}.{number % 1000 // 10}"


def _failed(nvml: ModuleType, error: Any) -> NvmlReading:
    if error.value == nvml.NVML_ERROR_LIBRARY_NOT_FOUND:
        return NvmlReading(is_absent=True, problem=f"{LIBRARY}, the NVIDIA driver's own library, is not to be found")
    if error.value == nvml.NVML_ERROR_FUNCTION_NOT_FOUND:
        return NvmlReading(is_absent=True, problem=f"{LIBRARY} is older than the functions that are asked of it")
    known = _known(nvml, error)
    return NvmlReading(
        problem=f"NVML said: {error}" + (f" ({known.cause})" if known is not None else ""),
        remedy=None if known is None else known.remedy,
    )


def _known(nvml: ModuleType, error: Any) -> KnownFailure | None:
    failures = {
        nvml.NVML_ERROR_DRIVER_NOT_LOADED: MODULE_NOT_LOADED,
        nvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: DRIVER_UPDATED,
        nvml.NVML_ERROR_NO_PERMISSION: NOT_PERMITTED,
        nvml.NVML_ERROR_NOT_FOUND: NO_WORKING_GPU,
        nvml.NVML_ERROR_GPU_NOT_FOUND: NO_WORKING_GPU,
        nvml.NVML_ERROR_GPU_IS_LOST: GPU_LOST,
        nvml.NVML_ERROR_RESET_REQUIRED: GPU_NEEDS_RESET,
        nvml.NVML_ERROR_UNKNOWN: ACCESS_TAKEN,
    }
    return failures.get(error.value)
