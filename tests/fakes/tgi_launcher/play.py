"""What the launcher plays: how long each phase takes, and how it ends, from PLAY_* or `play.toml` beside the model."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

FILE = "play.toml"
LINES_FILE = "death.txt"

Death = Literal[
    "",
    "oom-load",
    "oom-warmup",
    "oom-serving",
    "sigbus",
    "sigill",
    "num-shard",
    "quantization",
    "gated",
    "never-ready",
    "hang-load",
    "hang-warmup",
    "crash",
    "eat-memory",
    "eat-memory-launcher",
    "recorded",
]
At = Literal["download", "load", "warm-up", "serving"]


class PlayError(Exception):
    """A play that cannot be played: a mistake of the test."""


# No model of pydantic's: that alone would take longer than a container takes to start.
@dataclass(frozen=True, kw_only=True)
class Play:
    """One play.

    Attributes:
        download_s: Seconds of the check of the weights; `load_s` of a shard's start, `warmup_s` of the warm-up.
        load_until: A file beside the model; a shard's start takes until it is there.
        waiting_s: Between two lines that a shard is waited for; TGI's own is 10.
        threads: Of the engine that serves.
        die: How it ends; empty: only when told to.
        at: The phase in which `recorded` ends.
        rank: The shard that dies.
        exit_code: Of `recorded` and `crash`; above 128 it ends by that signal.
        after_requests: `crash`, `oom-serving` and `recorded` at serving wait for so many requests,
        after_s: and so many seconds of serving.
        on_start: It dies only on the start of this number, counted in `starts_file`; 0: on every one.
        starts_file: A file in a folder that outlives the container.
    """

    download_s: float = 0.0
    load_s: float = 0.0
    load_until: str = ""
    warmup_s: float = 0.0
    waiting_s: float = 10.0
    threads: int = 1
    die: Death = ""
    at: At = "load"
    rank: int = 0
    exit_code: int = 1
    after_requests: int = 0
    after_s: float = 0.0
    on_start: int = 0
    starts_file: str = ""
    lines_file: str = LINES_FILE


def read_play(model: Path, environment: Mapping[str, str]) -> Play:
    """Read the play: PLAY_LOAD_S and so on win over the file's `load_s`.

    Raises:
        PlayError: A key or a value is none.
    """
    try:
        told: dict[str, object] = tomllib.loads((model / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        told = {}
    told |= {
        name.removeprefix("PLAY_").lower(): value for name, value in environment.items() if name.startswith("PLAY_")
    }
    try:
        play = Play(**{name: _read(name, value) for name, value in told.items()})
    except (KeyError, TypeError, ValueError) as error:
        raise PlayError(str(error)) from error
    if play.die not in get_args(Death) or play.at not in get_args(At):
        raise PlayError(f"nobody dies of {play.die!r} at {play.at!r}")
    return play


def _read(name: str, value: object) -> Any:
    """Return the value as its attribute has it: in the environment all are text."""
    kinds: dict[str, Any] = {field.name: type(field.default) for field in fields(Play)}
    if isinstance(value, str):
        return kinds[name](value)
    if type(value) is not kinds[name] and (type(value), kinds[name]) != (int, float):
        raise TypeError(f"{name} cannot be {value!r}")
    return value


def dies_now(play: Play) -> bool:
    """Count this start where the play asks for it, and say whether it is one that dies."""
    if not play.on_start:
        return bool(play.die)
    path = Path(play.starts_file)
    started = int(path.read_text(encoding="utf-8")) + 1 if path.exists() else 1
    path.write_text(str(started), encoding="utf-8")
    return started == play.on_start
