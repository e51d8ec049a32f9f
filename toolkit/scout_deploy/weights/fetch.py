"""The download as a command, for the container that runs it on another machine's Docker host.

    python -m scout_deploy.weights.fetch --model-id ID [--revision REV] --cache DIR [--token-file FILE]

One JSON object a line on standard output: `progress` as bytes come, at last `done` or `error`. The exit status is the
error's, 130 when it was told to stop, and 0 where the weights are there. HF_ENDPOINT and HTTPS_PROXY count.
"""

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from scout_deploy.errors import DeployError, WeightsError
from scout_deploy.hub import Hub
from scout_deploy.weights.obtain import obtain
from scout_deploy.weights.repository import DEFAULT_REVISION, DownloadProgress

INTERRUPTED = 130
_TOKEN_BYTES = 10_000


def main(arguments: Sequence[str], output: TextIO) -> int:
    """Fetch, write events to `output`, and return the exit status."""
    options = _options(arguments)
    events = _Events(output)
    try:
        hub = Hub(cache=options.cache, token=_token(options.token_file))
        snapshot = obtain(hub, options.model_id, options.revision, events.progress)
    except DeployError as error:
        events.write(
            event="error",
            error=type(error).__name__,
            exit_code=error.exit_code,
            message=error.message,
            next_step=error.next_step,
            evidence=list(error.evidence),
        )
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Nobody reads any more, and Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), output.fileno())
        return 1
    events.write(event="done", snapshot=str(snapshot), commit=snapshot.name)
    return 0


class _Events:
    def __init__(self, output: TextIO) -> None:
        self._output = output

    def progress(self, now: DownloadProgress) -> None:
        more: dict[str, object] = {} if now.waits_for is None else {"waits_for": now.waits_for}
        if now.retries:
            more |= {"retries": now.retries, "trouble": now.trouble}
        self.write(event="progress", done_bytes=now.done_bytes, total_bytes=now.total_bytes, file=now.file, **more)

    def write(self, **event: object) -> None:
        self._output.write(f"{json.dumps(event)}\n")
        # Whoever reads this waits for each line.
        self._output.flush()


class _Options(argparse.Namespace):
    model_id: str
    revision: str
    cache: Path
    token_file: Path | None


def _options(arguments: Sequence[str]) -> _Options:
    parser = argparse.ArgumentParser(
        prog="python -m scout_deploy.weights.fetch", description="Fetch a model's weights."
    )
    parser.add_argument("--model-id", required=True, help="such as meta-llama/Llama-3.1-8B-Instruct")
    parser.add_argument("--revision", default=DEFAULT_REVISION, help="a branch, tag or commit (default: %(default)s)")
    parser.add_argument("--cache", type=Path, required=True, help="huggingface_hub's cache folder")
    parser.add_argument("--token-file", type=Path, help="holds a token of the hub; without it, none is used")
    return parser.parse_args(arguments, namespace=_Options())


def _token(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        with file.open("rb") as contents:
            return contents.read(_TOKEN_BYTES).decode("utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else "it is not text"
        raise WeightsError(
            f"the token file {file} cannot be read: {why}", next_step="mount the file where --token-file says"
        ) from exc


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    # The first process of a container ignores SIGTERM unless it says otherwise.
    signal.signal(signal.SIGTERM, _stop)
    sys.exit(main(sys.argv[1:], sys.stdout))
