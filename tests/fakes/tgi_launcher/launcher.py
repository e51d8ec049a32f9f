"""The launcher's course: check, download, shards, web server, serving, and the end of each."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from fakes.tgi_launcher import deaths
from fakes.tgi_launcher.arguments import Arguments, check, shown
from fakes.tgi_launcher.deaths import Script, script
from fakes.tgi_launcher.engine import Engine
from fakes.tgi_launcher.log import Log
from fakes.tgi_launcher.memory import MOUTHFULS, eat
from fakes.tgi_launcher.play import At, Play, dies_now

_POLL_S = 0.1
_GGUF = b"GGUF"
_V3 = "text_generation_router_v3"
_LIB = "backends/v3/src/lib.rs"
_SERVER = "text_generation_router::server"


class LauncherError(Exception):
    """The launcher's `Error: ...`; exit code 1."""


class PlayedExitError(Exception):
    """The process ends here, with this code and no further words."""

    def __init__(self, *, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


class Launcher:
    """One run of the launcher; `stop` may be set at any time, as SIGTERM does."""

    def __init__(self, arguments: Arguments, play: Play, log: Log, stop: threading.Event) -> None:
        self._arguments = arguments
        self._play = play
        self._log = log
        self._stop = stop
        self._model_id = arguments.text("model_id")
        self._model = Path(self._model_id)
        self._ranks = range(arguments.num_shard)
        self._script = script(play, arguments, self._model) if dies_now(play) else None

    def run(self) -> None:
        """Go through every phase and serve until told to stop.

        Raises:
            ArgumentsError: Before anything starts.
            LauncherError: With the name of the launcher's error.
            PlayedExitError: The play has the process end by itself.
        """
        self._introduce()
        for phase in (self._download, self._start_shards, self._serve):
            if self._stop.is_set():
                return
            phase()

    def _introduce(self) -> None:
        self._log.info(shown(self._arguments))
        self._log.info("Using attention flashinfer - Prefix caching true")
        check(self._arguments)
        if len(self._ranks) > 1:
            self._log.info(f"Sharding model on {len(self._ranks)} processes")
        if self._arguments.whole("max_batch_prefill_tokens") is None:
            self._log.info("Default `max_batch_prefill_tokens` to 4096")
        if self._arguments.values["cuda_graphs"] is None:
            self._log.info("Using default cuda graphs [1, 2, 4, 8, 16, 32]")

    def _download(self) -> None:
        self._log.info(f"Starting check and download process for {self._model_id}", span="download")
        self._wait(self._play.download_s)
        if ending := self._ending("download"):
            self._fail_download(ending.text)
        if not self._model.is_dir():
            self._fail_download(deaths.NOT_LOCAL.format(model_id=self._model_id))
        if len(self._weights()) != 1:
            self._fail_download(deaths.NO_WEIGHTS.format(model_id=self._model_id))
        self._log.info("Files are already present on the host. Skipping download.")
        self._log.info(f"Successfully downloaded weights for {self._model_id}", span="download")

    def _fail_download(self, text: str) -> None:
        self._log.error(f"Download encountered an error: \n{text}", span="download")
        raise LauncherError("DownloadError")

    def _start_shards(self) -> None:
        started = time.monotonic()
        for rank in self._ranks:
            self._log.info("Starting shard", span="shard-manager", rank=rank)
        ending = self._ending("load")
        self._wait(self._play.load_s, self._say_waiting)
        if self._play.load_until:
            last = self._model / self._play.load_until
            self._wait(float("inf"), self._say_waiting, until=last.exists)
        if ending:
            self._end_load(ending)
        self._check_model()
        if self._stop.is_set():
            self._shut_down_shards()
            return
        for rank in self._ranks:
            self._log.info(f"Server started at unix://{self._arguments.text('shard_uds_path')}-{rank}")
            elapsed = _duration(time.monotonic() - started)
            self._log.info(f"Shard ready in {elapsed}", span="shard-manager", rank=rank)

    def _check_model(self) -> None:
        try:
            config = json.loads((self._model / "config.json").read_text(encoding="utf-8"))
        except OSError:
            self._fail_shard(deaths.NO_CONFIG.format(model_id=self._model_id))
            return
        heads = config.get("text_config", config).get("num_attention_heads", len(self._ranks))
        if heads % len(self._ranks):
            self._fail_shard(deaths.uneven_heads(heads, len(self._ranks)))

    def _end_load(self, ending: Script) -> None:
        if ending.waits:
            self._wait(float("inf"), self._say_waiting if ending.waits == "lines" else None)
        elif ending.eats == "launcher":
            eat(MOUTHFULS)
        elif ending.eats == "shard":
            eater = subprocess.run([sys.executable, "-m", "fakes.tgi_launcher.memory"], check=False)
            self._fail_shard("", signal=-eater.returncode)
        else:
            self._fail_shard(ending.text, signal=ending.signal)

    def _fail_shard(self, text: str, *, signal: int | None = None) -> None:
        rank = self._play.rank
        if text:
            self._log.error(f"Error when initializing model\n{text}")
        self._say_shard_died(rank, text, signal)
        self._log.error(f"Shard {rank} failed to start")
        self._shut_down_shards(dead=rank)
        raise LauncherError("ShardCannotStart")

    def _say_shard_died(self, rank: int, text: str, signal: int | None) -> None:
        self._log.error(f"Shard complete standard error output:\n\n{text}", span="shard-manager", rank=rank)
        if signal is not None:
            self._log.error(
                f"Shard process was signaled to shutdown with signal {signal}", span="shard-manager", rank=rank
            )

    def _serve(self) -> None:
        self._log.info("Starting Webserver")
        self._log.router(_V3, f"{_LIB}:125", "Warming up model")
        ending = self._ending("warm-up")
        self._wait(self._play.warmup_s)
        if ending and ending.waits:
            self._wait(float("inf"))
        elif ending:
            self._fail_warm_up(ending.text)
        if self._stop.is_set():
            self._shut_down_shards()
            return
        (weights,) = self._weights()
        engine = Engine(self._arguments, weights, self._play.threads)
        try:
            self._watch(engine)
        finally:
            engine.kill()

    def _fail_warm_up(self, text: str) -> None:
        self._log.error(f"Method Warmup encountered an error.\nRuntimeError: {text}")
        self._log.router(
            f"warmup:warmup: {_V3}::client", "backends/v3/src/client/mod.rs:45", f"Server error: {text}", level="ERROR"
        )
        self._fail_webserver(f'Error: Backend(Warmup(Generation("{text}")))')

    def _fail_webserver(self, words: str) -> None:
        self._log.plain(words)
        self._log.error("Webserver Crashed")
        self._shut_down_shards()
        raise LauncherError("WebserverFailed")

    def _weights(self) -> list[Path]:
        """Return the GGUF files, also one under a name that is fetched from a hub's repository."""
        named = [path for ending in ("*.gguf", "*.model") for path in self._model.glob(ending)]
        return [path for path in named if _begins_with(path, _GGUF)]

    def _watch(self, engine: Engine) -> None:
        while not engine.is_ready and not self._stop.wait(_POLL_S):
            if engine.exit_status() is not None:
                self._fail_webserver("\n".join(["Error: Backend(Connection)", *engine.errors]))
        if engine.is_ready:
            self._connect()
        ready_at = time.monotonic()
        ending = self._ending("serving")
        while not self._stop.wait(_POLL_S):
            if (status := engine.exit_status()) is not None:
                self._crash("\n".join(engine.errors), signal=-status if status < 0 else None)
            if ending and self._is_time(engine, ready_at):
                self._end_serving(ending, engine)
        self._log.info("Terminating webserver")
        self._log.info("Waiting for webserver to gracefully shutdown")
        self._log.router(_SERVER, "router/src/server.rs:2399", "signal received, starting graceful shutdown")
        engine.terminate(self._arguments.number("graceful_termination_timeout"))
        self._log.info("webserver terminated")
        self._shut_down_shards()

    def _connect(self) -> None:
        longest = self._arguments.whole("max_total_tokens") or 4096
        capacity = max(4 * longest, 16000)
        self._log.info(f"KV-cache blocks: {capacity}, size: 1")
        self._log.info("Cuda Graphs are enabled for sizes [32, 16, 8, 4, 2, 1]")
        self._log.router(_V3, f"{_LIB}:137", f"Setting max batch total tokens to {capacity}")
        self._log.router(_V3, f"{_LIB}:166", "Using backend V3")
        if self._arguments.max_input_tokens is None:
            place = "backends/v3/src/main.rs:162"
            self._log.router("text_generation_router", place, f"Maximum input tokens defaulted to {longest - 1}")
        self._log.router(_SERVER, "router/src/server.rs:1909", "Invalid hostname, defaulting to 0.0.0.0", level="WARN")
        self._log.router(_SERVER, "router/src/server.rs:2302", "Connected")

    def _is_time(self, engine: Engine, ready_at: float) -> bool:
        if time.monotonic() - ready_at < self._play.after_s:
            return False
        return not self._play.after_requests or engine.requests() >= self._play.after_requests

    def _end_serving(self, ending: Script, engine: Engine) -> None:
        if ending.method:
            self._log.error(f"Method {ending.method} encountered an error.\n{ending.text}")
        engine.kill()
        if ending.exit_code is not None:
            self._log.plain(ending.text)
            raise PlayedExitError(exit_code=ending.exit_code)
        self._crash(ending.text, signal=ending.signal)

    def _crash(self, text: str, *, signal: int | None) -> None:
        rank = self._play.rank
        self._say_shard_died(rank, text, signal)
        self._log.error(f"Shard {rank} crashed")
        self._log.info("Terminating webserver")
        self._log.info("Waiting for webserver to gracefully shutdown")
        self._log.info("webserver terminated")
        self._shut_down_shards(dead=rank)
        raise LauncherError("ShardFailed")

    def _shut_down_shards(self, dead: int | None = None) -> None:
        self._log.info("Shutting down shards")
        for rank in self._ranks:
            if rank != dead:
                for words in ("Terminating shard", "Waiting for shard to gracefully shutdown", "shard terminated"):
                    self._log.info(words, span="shard-manager", rank=rank)

    def _ending(self, at: At) -> Script | None:
        """Return how the play ends in this phase; recorded words end the process here."""
        if self._script is None or self._script.at != at:
            return None
        if self._script.exit_code is not None and at != "serving":
            self._log.plain(self._script.text)
            raise PlayedExitError(exit_code=self._script.exit_code)
        return self._script

    def _say_waiting(self) -> None:
        for rank in self._ranks:
            self._log.info("Waiting for shard to be ready...", span="shard-manager", rank=rank)

    def _wait(
        self, seconds: float, say: Callable[[], None] | None = None, *, until: Callable[[], bool] | None = None
    ) -> None:
        """Wait for a time, until it holds, or until told to stop; `say` is called now and then."""
        end = time.monotonic() + seconds
        said = time.monotonic()
        while (left := end - time.monotonic()) > 0 and not self._stop.wait(min(left, _POLL_S)):
            if until and until():
                return
            if say and time.monotonic() - said >= self._play.waiting_s:
                say()
                said = time.monotonic()


def _duration(seconds: float) -> str:
    """Write a duration as Rust's debug form does."""
    return f"{seconds:.9f}s" if seconds >= 1 else f"{seconds * 1000:.6f}ms"


def _begins_with(path: Path, magic: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(magic)) == magic
