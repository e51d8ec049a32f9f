"""The process that offers one load: `python -m scout_loadtest.run_step`, so that its patches stay out of this one."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import IO

from pydantic import ValidationError

from scout_deploy.errors import DeployError, ExtraMissingError, ProfileError
from scout_loadtest.figures import Targets
from scout_loadtest.step import Load, StepResult

KEY_VARIABLE = "SCOUT_API_KEY"
_WRONG_INPUT = 2
_LAST_LINES = 8
# An answer that is being waited for may take as long as a request may; then the child is ended.
_RESULT_S = 15.0
_ARGV = (sys.executable, "-m", "scout_loadtest.run_step")


@dataclass(frozen=True, kw_only=True)
class LoadProgress:
    """How far a load is."""

    elapsed_s: float
    sent: int
    ended: int
    failed: int
    in_flight: int
    ttft_p50_ms: float | None = None
    output_tokens_per_s: float | None = None


class LoadInterrupted(KeyboardInterrupt):
    """Ctrl-C while a load was offered.

    Args:
        result: What was measured until then; None where the child could not say.
    """

    def __init__(self, result: StepResult | None) -> None:
        super().__init__()
        self.result = result


def require_locust() -> None:
    """Check that what sends requests is installed, without loading it.

    Raises:
        ExtraMissingError: It is not.
    """
    if find_spec("locust") is None:
        raise ExtraMissingError(
            "what sends the requests is not installed (the package locust is missing)",
            next_step="pip install 'scout-deploy[bench]'; in a checkout, make bench installs it and measures",
        )


@dataclass(frozen=True, kw_only=True)
class LoadChild:
    """Offers loads to one API.

    Args:
        key: The API key, which the child finds in its environment; None where the API asks for none.
        headers: Of every request, told to the child where nobody else reads it.
        argv: What is run.
    """

    url: str
    key: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    argv: tuple[str, ...] = _ARGV

    def offer(self, load: Load, targets: Targets, tell: Callable[[LoadProgress], None]) -> StepResult:
        """Offer the load and return what came of it. Blocks.

        Raises:
            LoadInterrupted: Ctrl-C; with what was measured until then.
            ProfileError: The load is wrong, such as a data file that is malformed.
            DeployError: The child cannot be started, or died without a word.
        """
        with _file_for_words() as words:
            process = self._start(words)
            reading = _Reading(process, tell)
            try:
                self._ask(process, load, targets)
                reading.to_end()
            except KeyboardInterrupt:
                raise LoadInterrupted(_ended_early(process, reading)) from None
            finally:
                _end(process)
            words.seek(0)
            return _result_of(reading, process.returncode, words.read().decode("utf-8", "replace"))

    def _start(self, words: IO[bytes]) -> subprocess.Popen[str]:
        try:
            return subprocess.Popen(  # noqa: S603 - our own interpreter
                self.argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=words,
                env=self._environment,
                text=True,
                # Ctrl-C is for this process, which tells the child.
                start_new_session=True,
            )
        except OSError as exc:
            raise _not_started(exc) from exc

    @property
    def _environment(self) -> Mapping[str, str]:
        others = {name: value for name, value in os.environ.items() if name != KEY_VARIABLE}
        return others if self.key is None else {**others, KEY_VARIABLE: self.key}

    def _ask(self, process: subprocess.Popen[str], load: Load, targets: Targets) -> None:
        question = {
            "url": self.url,
            "load": load.model_dump(mode="json"),
            "targets": targets.model_dump(mode="json"),
            "headers": dict(self.headers),
        }
        with contextlib.suppress(OSError):
            # Where it died already, its end says why.
            if process.stdin is not None:
                process.stdin.write(json.dumps(question) + "\n")
                process.stdin.close()


def _file_for_words() -> IO[bytes]:
    """Return where the child's own words go: a pipe that nobody reads would stop it."""
    try:
        return tempfile.TemporaryFile()
    except OSError as exc:
        raise _not_started(exc) from exc


def _not_started(exc: OSError) -> DeployError:
    where = f"{exc.filename}: " if exc.filename else ""
    return DeployError(
        f"what sends the requests cannot be started: {where}{exc.strerror}",
        next_step="look for room on the disk of temporary files (TMPDIR), memory and processes of this machine",
    )


class _Reading:
    """What the child prints, as far as it was read."""

    def __init__(self, process: subprocess.Popen[str], tell: Callable[[LoadProgress], None]) -> None:
        self._lines: IO[str] = process.stdout or sys.stdin
        self._tell = tell
        self.result: StepResult | None = None
        self.error: DeployError | None = None

    def to_end(self) -> None:
        for line in self._lines:
            self._take(line)

    def _take(self, line: str) -> None:
        try:
            event = json.loads(line)
            match event:
                case {"event": "progress"}:
                    self._tell(LoadProgress(**{key: event.get(key) for key in LoadProgress.__annotations__}))
                case {"event": "result", "result": result}:
                    self.result = StepResult.model_validate(result)
                case {"event": "error", "message": str() as message}:
                    self.error = ProfileError(message, next_step=event.get("next"))
        except (ValueError, ValidationError) as exc:
            self.error = DeployError(f"what sends the requests said something odd: {line[:200]!r} ({exc})")


def _ended_early(process: subprocess.Popen[str], reading: _Reading) -> StepResult | None:
    """Ask the child to end its load, and return what it measured; a second Ctrl-C does not wait for it."""
    timer = threading.Timer(_RESULT_S, process.kill)
    timer.start()
    try:
        process.send_signal(signal.SIGINT)
        reading.to_end()
    except KeyboardInterrupt:
        process.kill()
    finally:
        timer.cancel()
    return reading.result


def _end(process: subprocess.Popen[str]) -> None:
    if process.stdout is not None:
        process.stdout.close()
    try:
        process.wait(timeout=1.0)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.kill()
        process.wait()


def _result_of(reading: _Reading, status: int, words: str) -> StepResult:
    if reading.error is not None:
        raise reading.error
    if reading.result is None:
        raise DeployError(
            f"what sends the requests ended with status {status} and without a result",
            evidence=tuple(words.splitlines()[-_LAST_LINES:]),
        )
    return reading.result
