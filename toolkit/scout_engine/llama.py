"""Start llama.cpp in this process: the only file that imports xllamacpp.

Its HTTP server listens on a free loopback port behind a key that is made here for each start, kept in memory and never
written anywhere.
"""

import importlib
import os
import platform
import secrets
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import IO, Any
from urllib.parse import urlsplit

from scout_engine.config import EngineConfig
from scout_engine.errors import ArgumentError, ModelFileError, RuntimeFailedError, SystemLibraryError

_CPU_INFO = Path("/proc/cpuinfo")
# Besides those that wait or generate, some threads answer /tokenize and /health.
_SPARE_HTTP_THREADS = 8
_ERRORS_ONLY = 1
_REASON_LINES = 3
_LAST_LINES_S = 3.0
_LOOK_S = 0.05
_MOST_WRITTEN = 1_048_576
_STDERR = 2


@dataclass(frozen=True, kw_only=True)
class RunningLlama:
    """A started llama.cpp; it stops when the last reference to `server` goes."""

    host: str
    port: int
    api_key: str
    server: object


def start_llama(config: EngineConfig, *, context: int, threads: int) -> RunningLlama:
    """Load the model and start llama.cpp's server on it; blocks until it listens.

    Args:
        config: What to serve.
        context: Tokens of one slot.
        threads: CPU threads to compute with.

    Raises:
        SystemLibraryError: xllamacpp cannot be imported here.
        ArgumentError: The kv-cache dtype is unknown.
        ModelFileError: llama.cpp refuses the file.
    """
    xllamacpp = _import_xllamacpp()
    api_key = secrets.token_urlsafe(32)
    parameters = _parameters(xllamacpp, config, context, threads, api_key)
    with _captured_stderr() as captured:
        try:
            server = xllamacpp.Server(parameters)
        except RuntimeError as error:
            reason = _reason(captured) or str(error)
            raise ModelFileError(
                f"llama.cpp cannot load {config.model_path}: {reason}; if the file is sound, lower --context "
                f"({context}) or --slots ({config.slots}), or take a smaller model"
            ) from error
    address = urlsplit(server.listening_address)
    if address.hostname is None or address.port is None:
        raise RuntimeFailedError(f"llama.cpp reports no address to reach it: {server.listening_address!r}")
    return RunningLlama(host=address.hostname, port=address.port, api_key=api_key, server=server)


def _parameters(xllamacpp: Any, config: EngineConfig, context: int, threads: int, api_key: str) -> object:
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(config.model_path)
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.api_keys = [api_key]
    parameters.n_parallel = config.slots
    parameters.n_ctx = context * config.slots
    parameters.kv_unified = False
    parameters.ctx_shift = False
    parameters.endpoint_slots = False
    parameters.cache_prompt = False
    parameters.cache_idle_slots = False
    parameters.cache_ram_mib = 0
    parameters.ui = False
    parameters.verbosity = _ERRORS_ONLY
    parameters.n_threads_http = config.max_concurrent_requests + _SPARE_HTTP_THREADS
    parameters.cpuparams.n_threads = threads
    parameters.cpuparams_batch.n_threads = threads
    cache_type = _cache_type(xllamacpp, config.kv_cache_dtype)
    parameters.cache_type_k = cache_type
    parameters.cache_type_v = cache_type
    return parameters


def _cache_type(xllamacpp: Any, name: str) -> object:
    known = ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl")
    if name not in known:
        raise ArgumentError(f"--kv-cache-dtype {name!r} is unknown; llama.cpp's cache types are {', '.join(known)}")
    types = xllamacpp.ggml_type
    return getattr(types, f"GGML_TYPE_{name.upper()}")


def _import_xllamacpp() -> Any:
    _check_cpu()
    try:
        xllamacpp = importlib.import_module("xllamacpp")
    except ModuleNotFoundError as error:
        raise SystemLibraryError(
            f"the Python package {error.name} is not installed; "
            "install the engine with: pip install 'scout-deploy[embedded]'"
        ) from error
    except ImportError as error:
        if "libgomp" in str(error):
            raise SystemLibraryError(
                "the system library libgomp.so.1 is missing, which llama.cpp computes with; "
                "install it with: apt-get install libgomp1"
            ) from error
        raise SystemLibraryError(f"llama.cpp cannot be loaded: {error}; reinstall the package xllamacpp") from error
    return xllamacpp


def _check_cpu() -> None:
    """llama.cpp's wheel is compiled for AVX2; without it the process would die of an illegal instruction."""
    if platform.machine() not in ("x86_64", "AMD64") or not _CPU_INFO.exists():
        return
    if " avx2 " not in _CPU_INFO.read_text().replace("\n", " "):
        raise SystemLibraryError(
            "this CPU lacks AVX2, which llama.cpp's package needs; run the engine on a newer machine"
        )


@contextmanager
def _captured_stderr() -> Iterator[IO[bytes]]:
    """Keep what llama.cpp writes to the process's stderr.

    Where an error is raised, that goes on: a thread of llama.cpp's writes its last lines at any time later, which must
    not get among ours. `sys.stderr` is then the real one.
    """
    sys.stderr.flush()
    saved = os.dup(_STDERR)
    with tempfile.TemporaryFile() as captured:
        os.dup2(captured.fileno(), _STDERR)
        try:
            yield captured
        except BaseException:
            sys.stderr = os.fdopen(saved, "w", buffering=1, encoding="utf-8", errors="backslashreplace")
            raise
        os.dup2(saved, _STDERR)
        os.close(saved)


def _reason(captured: IO[bytes]) -> str:
    """The lines in which llama.cpp says why, the first of them being the cause; empty where it says nothing in time.

    Its own thread writes them, soon after it has failed.
    """
    lines: list[str] = []
    given_up_s = monotonic() + _LAST_LINES_S
    while monotonic() < given_up_s:
        before, lines = lines, _telling_lines(captured)
        if lines and lines == before:
            break
        sleep(_LOOK_S)
    return "; ".join(lines[:_REASON_LINES])


def _telling_lines(captured: IO[bytes]) -> list[str]:
    # A read would move the place where the other thread writes.
    written = os.pread(captured.fileno(), _MOST_WRITTEN, 0).decode("utf-8", "replace")
    return [
        line.strip()
        for line in written[: written.rfind("\n") + 1].splitlines()
        if "error" in line.lower() or "failed" in line.lower() or "invalid" in line.lower()
    ]
