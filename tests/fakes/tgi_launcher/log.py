"""Log lines as the launcher and its router write them, in colour unless told otherwise, or as JSON."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Literal, TextIO

Level = Literal["INFO", "WARN", "ERROR"]
_COLOURS: dict[Level, str] = {"INFO": "32", "WARN": "33", "ERROR": "31"}
_LAUNCHER = "text_generation_launcher"


class Log:
    """The launcher's log; the two programs of the real one differ in format and in when they write colours."""

    def __init__(self, out: TextIO, *, as_json: bool, environment: Mapping[str, str], now: Callable[[], float]) -> None:
        self._out = out
        self._as_json = as_json
        # tracing-subscriber's default, and what router/src/logging.rs makes of LOG_COLORIZE: "1" turns colours off.
        self._launcher_colour = not environment.get("NO_COLOR")
        self._router_colour = environment.get("LOG_COLORIZE") != "1"
        self._now = now

    def info(self, message: str, *, span: str | None = None, rank: int | None = None) -> None:
        self._launcher("INFO", message, span, rank)

    def warn(self, message: str) -> None:
        self._launcher("WARN", message, None, None)

    def error(self, message: str, *, span: str | None = None, rank: int | None = None) -> None:
        self._launcher("ERROR", message, span, rank)

    def router(self, target: str, place: str, message: str, *, level: Level = "INFO") -> None:
        """Write a line of the router; `place` is the file and line in its source."""
        file, _, line = place.rpartition(":")
        if self._as_json:
            self._json(level, {"message": message, "target": target, "filename": file, "line_number": int(line)})
            return
        paint = _painter(self._router_colour)
        parts = [self._head(level, paint), paint("2", target) + paint("2", ":")]
        self.plain(" ".join([*parts, paint("2", file) + paint("2", ":") + paint("2", f"{line}:"), message]))

    def plain(self, text: str) -> None:
        """Write text as it is."""
        self._out.write(f"{text}\n")
        self._out.flush()

    def _launcher(self, level: Level, message: str, span: str | None, rank: int | None) -> None:
        if self._as_json:
            self._json(level, {"fields": {"message": message}, "target": _LAUNCHER, **_spans(span, rank)})
            return
        paint = _painter(self._launcher_colour)
        context = [f"{paint('1', span)}:"] if span else []
        tail = [paint("2", paint("3", "rank", closed=False)) + paint("2", "=") + str(rank)] if rank is not None else []
        reset = [] if rank is None or not self._launcher_colour else ["\x1b[0m"]
        line = " ".join([self._head(level, paint), *context, paint("2", _LAUNCHER) + paint("2", ":"), message, *tail])
        self.plain(line + "".join(reset))

    def _head(self, level: Level, paint: Callable[..., str]) -> str:
        return f"{paint('2', self._timestamp())} {paint(_COLOURS[level], f'{level:>5}')}"

    def _json(self, level: Level, rest: Mapping[str, object]) -> None:
        self.plain(json.dumps({"timestamp": self._timestamp(), "level": level, **rest}, ensure_ascii=False))

    def _timestamp(self) -> str:
        return datetime.fromtimestamp(self._now(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _painter(coloured: bool) -> Callable[..., str]:
    def paint(code: str, text: str, *, closed: bool = True) -> str:
        return f"\x1b[{code}m{text}" + ("\x1b[0m" if closed else "") if coloured else text

    return paint


def _spans(span: str | None, rank: int | None) -> dict[str, object]:
    if span is None:
        return {}
    named = {"name": span} if rank is None else {"rank": rank, "name": span}
    return {"span": named, "spans": [named]}
