"""A command at a real terminal (a pty), and what a person sees on it once all that moved is still."""

import codecs
import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

CTRL_C = b"\x03"
# What may go on in what is read next.
_CUT = re.compile(r"(?:\x1b(?:\[[0-9;?]*)?|\r)$")
_TOKEN = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|(\r\n|\r|\n)|([^\x1b\r\n]+)|(.)", re.DOTALL)


class Terminal:
    """A running command and its terminal."""

    def __init__(self, command: list[str], environment: Mapping[str, str], folder: Path, columns: int) -> None:
        self._screen = _Screen(columns)
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        # It is the command's controlling terminal, so that Ctrl-C is the terminal's own work.
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *command],
            env={**environment, "TERM": "xterm-256color"},
            cwd=folder,
            stdin=slave,
            stdout=slave,
            stderr=slave,
        )
        os.close(slave)
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._master, keys)

    def wait(self, timeout_s: float) -> int:
        """Wait for the end of the command and return its status."""
        status = self.process.wait(timeout_s)
        self._reading.join(timeout_s)
        return status

    def close(self) -> None:
        """End it where it runs still."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        self._reading.join(10)
        os.close(self._master)

    @property
    def shows_cursor(self) -> bool:
        """Whether the cursor is to be seen."""
        return self._screen.shows_cursor

    @property
    def lines(self) -> list[str]:
        """Everything on the screen, and what has scrolled off it."""
        return ["".join(line).rstrip() for line in self._screen.lines]

    def _read(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        rest = ""
        # Linux ends a terminal that nobody has open any more with an error.
        with contextlib.suppress(OSError):
            while more := os.read(self._master, 65536):
                text = rest + decoder.decode(more)
                whole = text[: len(text) - len(cut[0])] if (cut := _CUT.search(text)) else text
                rest = text[len(whole) :]
                for token in _TOKEN.finditer(whole):
                    self._screen.take(token)


class _Screen:
    """Knows the few sequences that our output uses; an unknown one stays to be seen."""

    def __init__(self, columns: int) -> None:
        self.lines: list[list[str]] = [[]]
        self._columns = columns
        self._row = self._column = 0
        self.shows_cursor = True

    def take(self, token: re.Match[str]) -> None:
        parameter, kind, control, text, other = token.groups()
        if text or other:
            for letter in text or other:
                self._put(letter)
        elif control:
            self._column = 0 if "\r" in control else self._column
            if "\n" in control:
                self._down()
        elif kind == "A":
            self._row = max(0, self._row - int(parameter or 1))
        elif kind == "K" and parameter == "2":
            self.lines[self._row] = []
        elif parameter == "?25":
            self.shows_cursor = kind == "h"
        elif kind != "m":
            self._put(f"<{parameter}{kind}>")

    def _put(self, letter: str) -> None:
        if self._column >= self._columns:
            self._column = 0
            self._down()
        line = self.lines[self._row]
        line.extend(" " * (self._column + 1 - len(line)))
        line[self._column] = letter
        self._column += 1

    def _down(self) -> None:
        self._row += 1
        if self._row == len(self.lines):
            self.lines.append([])


@contextmanager
def terminal(
    command: list[str], environment: Mapping[str, str], folder: Path, *, columns: int = 80
) -> Iterator[Terminal]:
    """Run a command at a terminal for the length of a block."""
    running = Terminal(command, environment, folder, columns)
    try:
        yield running
    finally:
        running.close()
