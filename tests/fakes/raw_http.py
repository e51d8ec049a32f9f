"""HTTP as bytes: what a test writes goes out as it is and at once, and what comes is kept as it came."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

_DEADLINE_S = 30.0


@dataclass(frozen=True, kw_only=True)
class RawAnswer:
    """One answer; a chunked body is put together.

    Args:
        head: The status line and the header lines, without the empty one.
    """

    head: bytes
    body: bytes

    @property
    def status(self) -> int:
        return int(self.head.split(b" ", 2)[1])

    @property
    def headers(self) -> Mapping[str, str]:
        lines = [line.decode().partition(": ") for line in self.head.split(b"\r\n")[1:]]
        return {name.lower(): value for name, _, value in lines}

    def json(self) -> Any:
        return from_json(self.body)


def generate_request(body: bytes, *headers: str, version: str = "1.1") -> bytes:
    """Write a whole POST /generate."""
    lines = ["Host: x", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
    return f"POST /generate HTTP/{version}\r\n".encode() + "\r\n".join([*lines, "\r\n"]).encode("latin-1") + body


class RawConnection:
    """One connection to a port of this machine."""

    def __init__(self, port: int) -> None:
        self.socket = socket.socket()
        self.socket.settimeout(_DEADLINE_S)
        self.socket.connect(("127.0.0.1", port))
        self._received = self.socket.makefile("rb")

    def __enter__(self) -> "RawConnection":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._received.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def ask(self, request: bytes) -> RawAnswer:
        self.send(request)
        return self.answer()

    def answer(self) -> RawAnswer:
        """Read one whole answer."""
        head = self.head()
        lines = head.lower().split(b"\r\n")
        if b"transfer-encoding: chunked" in lines:
            chunks = []
            while chunk := self.chunk():
                chunks.append(chunk)
            return RawAnswer(head=head, body=b"".join(chunks))
        lengths = [int(line.partition(b": ")[2]) for line in lines if line.startswith(b"content-length: ")]
        return RawAnswer(head=head, body=self._exactly(lengths[0]))

    def head(self) -> bytes:
        """Read a head."""
        lines = []
        while line := self._line():
            lines.append(line)
        return b"\r\n".join(lines)

    def chunk(self) -> bytes:
        """Read one chunk; nothing is the end."""
        size = int(self._line(), 16)
        chunk = self._exactly(size)
        assert self._exactly(2) == b"\r\n"
        return chunk

    def chunks_until(self, text: bytes) -> bytes:
        """Read chunks until they have this text."""
        read = b""
        while text not in read:
            chunk = self.chunk()
            assert chunk, f"the answer ended after {read!r}"
            read += chunk
        return read

    def is_closed(self) -> bool:
        """Wait until the server closes, or says something more."""
        return not self._received.read(1)

    def _line(self) -> bytes:
        line = self._received.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError(f"the server closed after {line!r}")
        return line[:-2]

    def _exactly(self, size: int) -> bytes:
        found = self._received.read(size)
        if len(found) < size:
            raise ConnectionError(f"the server closed after {len(found)} of {size} bytes")
        return found


def ask_at_once(port: int, request: bytes) -> RawAnswer:
    """Ask on a connection of its own."""
    with RawConnection(port) as connection:
        return connection.ask(request)
