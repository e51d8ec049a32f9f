"""Run one step in a process of its own: `python -m scout_loadtest.run_step`.

Reads {"url", "load", "targets", "headers"} as JSON from its standard input, the API key from SCOUT_API_KEY, and prints
events as lines of JSON: "progress" about once a second, then "result"; or "error", with which it exits with 2. SIGINT
and SIGTERM end the load early.
"""

import json
import os
import signal
import sys
from dataclasses import asdict
from typing import Any

import gevent
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from scout_loadtest.errors import InputError
from scout_loadtest.figures import Targets
from scout_loadtest.load.meter import Progress
from scout_loadtest.load.step_run import StepRun
from scout_loadtest.step import Load

WRONG_INPUT = 2


class StepOrder(BaseModel):
    """What is asked for.

    Args:
        headers: Of every request, beside its own; they are in no result.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    load: Load
    targets: Targets = Targets()
    headers: dict[str, str] = Field(default_factory=dict, repr=False)


def main() -> int:
    """Run it; returns the exit status."""
    try:
        order = _read_order(sys.stdin.read())
        step = StepRun(
            url=order.url,
            load=order.load,
            targets=order.targets,
            api_key=os.environ.get("SCOUT_API_KEY") or None,
            headers=order.headers,
            tell=_tell,
        )
    except InputError as exc:
        _print({"event": "error", "message": exc.message, "next": exc.next_step})
        return WRONG_INPUT
    # Every socket of ours is gevent's own; patched too late, the standard library would only warn.
    os.environ["LOCUST_SKIP_MONKEY_PATCH"] = "1"
    for number in (signal.SIGINT, signal.SIGTERM):
        gevent.signal_handler(number, step.stop, f"interrupted ({number.name})")
    result = step.run()
    _print({"event": "result", "result": result.model_dump(mode="json")})
    return 0


def _read_order(text: str) -> StepOrder:
    try:
        return StepOrder.model_validate_json(text)
    except ValidationError as exc:
        first = exc.errors()[0]
        place = "/".join(map(str, first["loc"])) or "the whole"
        raise InputError(f"{place}: {first['msg']}", "give url, load and targets as JSON") from None


def _tell(progress: Progress) -> None:
    _print({"event": "progress", **asdict(progress)})


def _print(event: dict[str, Any]) -> None:
    # Whoever reads may be gone, as after a Ctrl-C that reached both.
    try:
        print(json.dumps(event), flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
