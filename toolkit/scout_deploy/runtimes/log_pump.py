"""Follows a container's log in a thread of its own, because the daemon's stream blocks."""

import queue
import threading
from dataclasses import dataclass

from scout_deploy.containers.log_lines import LineSplitter, LogLine
from scout_deploy.errors import DockerUnavailableError
from scout_deploy.runtimes.docker_answers import LogStream
from scout_deploy.runtimes.docker_engine import DockerEngine
from scout_deploy.runtimes.docker_errors import DaemonRefusedError

_KEPT_LINES = 10_000


@dataclass(frozen=True)
class PumpedLine:
    """A line and the container that wrote it."""

    container: str
    line: LogLine


class LogPump:
    """Puts every line of the containers it follows into one queue."""

    def __init__(self, engine: DockerEngine) -> None:
        self._engine = engine
        self._streams: dict[str, LogStream] = {}
        self._threads: dict[str, threading.Thread] = {}
        # Bounded, so that an engine that writes without end waits for its reader and not the memory.
        self._lines: queue.Queue[PumpedLine] = queue.Queue(_KEPT_LINES)
        self._closed = threading.Event()

    def follow(self, container: str, *, tail: int | None = None, since_s: float | None = None) -> None:
        """Follow this container from now on; one that is followed already is not followed twice."""
        thread = self._threads.get(container)
        if thread is not None and thread.is_alive():
            return
        stream = self._engine.follow_log(container, tail=tail, since_s=since_s)
        self._streams[container] = stream
        thread = threading.Thread(target=self._read, args=(container, stream), name=f"log {container}", daemon=True)
        self._threads[container] = thread
        thread.start()

    def get(self, timeout_s: float) -> PumpedLine | None:
        """Return the next line, or None if none came in time."""
        try:
            return self._lines.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def drain(self) -> list[PumpedLine]:
        """Return what is there now."""
        lines = []
        while not self._lines.empty():
            lines.append(self._lines.get_nowait())
        return lines

    def has_ended(self, container: str) -> bool:
        """Tell whether nothing more will come from this container."""
        thread = self._threads.get(container)
        return thread is None or not thread.is_alive()

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come from any container."""
        return not any(thread.is_alive() for thread in self._threads.values())

    def close(self) -> None:
        """Stop following."""
        self._closed.set()
        for stream in self._streams.values():
            stream.close()
        for thread in self._threads.values():
            # A full queue would keep it.
            self.drain()
            thread.join(timeout=2.0)

    def _read(self, container: str, stream: LogStream) -> None:
        splitter = LineSplitter()
        try:
            for chunk in stream.chunks:
                self._put(container, splitter.feed(chunk))
        except (DockerUnavailableError, DaemonRefusedError, ValueError, AttributeError):
            # The daemon went away, or `close` took the connection from under the reader.
            if self._closed.is_set():
                return
        self._put(container, splitter.end())

    def _put(self, container: str, lines: list[LogLine]) -> None:
        for line in lines:
            while not self._closed.is_set():
                try:
                    self._lines.put(PumpedLine(container, line), timeout=0.5)
                except queue.Full:
                    continue
                break
