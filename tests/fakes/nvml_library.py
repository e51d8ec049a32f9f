"""A `libnvidia-ml.so.1` of Python functions: `pynvml` calls it with its own structures, as it calls the real one.

What it answers is what NVIDIA's nvml.h documents, filled with what a machine said (tests/data/gpus).
"""

import ctypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pynvml
import pytest

MIB = 2**20
_POINTER = ctypes.c_void_p
_NUMBER = ctypes.c_uint
_SUCCESS: int = pynvml.NVML_SUCCESS


@dataclass(frozen=True, kw_only=True)
class NvmlDevice:
    """One GPU as NVML tells it.

    Args:
        errors: Name of a function, and the error that it returns for this GPU.
        processes: Process id, name, and bytes of the GPU's memory.
    """

    name: str = "NVIDIA H100 80GB HBM3"
    uuid: str = "GPU-0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
    total: int = 81_559 * MIB
    used: int = 10_767 * MIB
    reserved: int = 555 * MIB
    capability: tuple[int, int] = (9, 0)
    mig: int = 0
    processes: Sequence[tuple[int, str, int]] = ()
    errors: Mapping[str, int] = field(default_factory=dict)


class NvmlLibrary:
    """The library, loaded.

    Args:
        errors: Name of a function, and the error that it returns whatever the GPU.
        missing: Functions that this version of the library does not have.
        before: Called before each initialization.
    """

    def __init__(
        self,
        devices: Sequence[NvmlDevice] = (),
        *,
        errors: Mapping[str, int] | None = None,
        missing: Sequence[str] = (),
        driver: str = "580.159.04",
        cuda: int = 13_000,
        before: Callable[[], object] = lambda: None,
    ) -> None:
        self._devices = list(devices)
        self._errors = dict(errors or {})
        self._missing = set(missing)
        self._driver, self._cuda, self._before = driver, cuda, before
        self.open = 0

    def __getattr__(self, name: str) -> Any:
        if name in self._missing or name not in _FUNCTIONS:
            raise AttributeError(name)
        answered_by, types = _FUNCTIONS[name]
        method = getattr(self, f"_answer_{answered_by}")
        is_of_device = len(types) > 1 and name.startswith("nvmlDevice") and types[0] is _POINTER

        def call(*arguments: Any) -> int:
            if name in self._errors:
                return self._errors[name]
            if is_of_device:
                device: NvmlDevice = self._devices[arguments[0] - 1]
                if name in device.errors:
                    return device.errors[name]
                return int(method(device, *arguments[1:]))
            return int(method(*arguments))

        function = ctypes.CFUNCTYPE(ctypes.c_int, *types)(call)
        setattr(self, name, function)
        return function

    def _answer_init(self, _: int) -> int:
        self._before()
        self.open += 1
        return _SUCCESS

    def _answer_shutdown(self) -> int:
        self.open -= 1
        return _SUCCESS

    def _answer_driver_version(self, text: int, length: int) -> int:
        return _write(text, self._driver, length)

    def _answer_cuda_version(self, version: int) -> int:
        ctypes.c_int.from_address(version).value = self._cuda
        return _SUCCESS

    def _answer_process_name(self, pid: int, text: int, length: int) -> int:
        names = {one[0]: one[1] for device in self._devices for one in device.processes}
        return _write(text, names[pid], length)

    def _answer_count(self, count: int) -> int:
        _NUMBER.from_address(count).value = len(self._devices)
        return _SUCCESS

    def _answer_handle(self, index: int, handle: int) -> int:
        if index >= len(self._devices):
            return int(pynvml.NVML_ERROR_INVALID_ARGUMENT)
        device = self._devices[index]
        if "nvmlDeviceGetHandleByIndex_v2" in device.errors:
            return device.errors["nvmlDeviceGetHandleByIndex_v2"]
        # Any address but 0, which is what a handle is.
        _POINTER.from_address(handle).value = index + 1
        return _SUCCESS

    def _answer_name(self, device: NvmlDevice, text: int, length: int) -> int:
        return _write(text, device.name, length)

    def _answer_uuid(self, device: NvmlDevice, text: int, length: int) -> int:
        return _write(text, device.uuid, length)

    def _answer_memory(self, device: NvmlDevice, memory: int) -> int:
        answer = pynvml.c_nvmlMemory_t.from_address(memory)
        answer.total, answer.used = device.total, device.used + device.reserved
        answer.free = answer.total - answer.used
        return _SUCCESS

    def _answer_memory_v2(self, device: NvmlDevice, memory: int) -> int:
        answer = pynvml.c_nvmlMemory_v2_t.from_address(memory)
        if answer.version != pynvml.nvmlMemory_v2:
            return int(pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH)
        answer.total, answer.used, answer.reserved = device.total, device.used, device.reserved
        answer.free = answer.total - answer.used - answer.reserved
        return _SUCCESS

    def _answer_capability(self, device: NvmlDevice, major: int, minor: int) -> int:
        ctypes.c_int.from_address(major).value, ctypes.c_int.from_address(minor).value = device.capability
        return _SUCCESS

    def _answer_mig(self, device: NvmlDevice, current: int, pending: int) -> int:
        _NUMBER.from_address(current).value = _NUMBER.from_address(pending).value = device.mig
        return _SUCCESS

    def _answer_processes(self, device: NvmlDevice, count: int, processes: int | None) -> int:
        room = _NUMBER.from_address(count)
        given, room.value = room.value, len(device.processes)
        if not device.processes:
            return _SUCCESS
        if processes is None or given < len(device.processes):
            return int(pynvml.NVML_ERROR_INSUFFICIENT_SIZE)
        rows = (pynvml.c_nvmlProcessInfo_v3_t * given).from_address(processes)
        for row, (pid, _, used) in zip(rows, device.processes, strict=False):
            row.pid, row.usedGpuMemory = pid, used
        return _SUCCESS


# Of each function: who answers it, and the types of its arguments.
_FUNCTIONS: Mapping[str, tuple[str, tuple[Any, ...]]] = {
    "nvmlInitWithFlags": ("init", (_NUMBER,)),
    "nvmlShutdown": ("shutdown", ()),
    "nvmlSystemGetDriverVersion": ("driver_version", (_POINTER, _NUMBER)),
    "nvmlSystemGetCudaDriverVersion_v2": ("cuda_version", (_POINTER,)),
    "nvmlSystemGetProcessName": ("process_name", (_NUMBER, _POINTER, _NUMBER)),
    "nvmlDeviceGetCount_v2": ("count", (_POINTER,)),
    "nvmlDeviceGetHandleByIndex_v2": ("handle", (_NUMBER, _POINTER)),
    "nvmlDeviceGetName": ("name", (_POINTER, _POINTER, _NUMBER)),
    "nvmlDeviceGetUUID": ("uuid", (_POINTER, _POINTER, _NUMBER)),
    "nvmlDeviceGetMemoryInfo": ("memory", (_POINTER, _POINTER)),
    "nvmlDeviceGetMemoryInfo_v2": ("memory_v2", (_POINTER, _POINTER)),
    "nvmlDeviceGetCudaComputeCapability": ("capability", (_POINTER, _POINTER, _POINTER)),
    "nvmlDeviceGetMigMode": ("mig", (_POINTER, _POINTER, _POINTER)),
    "nvmlDeviceGetComputeRunningProcesses_v3": ("processes", (_POINTER, _POINTER, _POINTER)),
}


def _write(address: int, text: str, length: int) -> int:
    content = text.encode() + b"\0"
    if len(content) > length:
        return int(pynvml.NVML_ERROR_INSUFFICIENT_SIZE)
    ctypes.memmove(address, content, len(content))
    return _SUCCESS


def install_nvml(monkeypatch: pytest.MonkeyPatch, library: NvmlLibrary | None) -> None:
    """Let `pynvml` find this library where it looks for the driver's; None for a machine without one."""

    def load(name: str) -> NvmlLibrary:
        assert name == "libnvidia-ml.so.1"
        if library is None:
            raise OSError(f"{name}: cannot open shared object file: No such file or directory")
        return library

    monkeypatch.setattr(pynvml, "CDLL", load)
    monkeypatch.setattr(pynvml, "nvmlLib", None)
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
