"""An API whose latency, pace and failures are known: `python timed_api.py --first-ms 50 --token-ms 5`.

It keeps the documented contract's shapes, generates as many tokens as it is asked for, and logs what it was sent.
Each token has its time, counted from when the request came, so that a late one delays no other. A process of its own,
for it would be late where it shared one with its client.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-cache: MISS\r\n"
    b"server-timing: queue;dur=7.5\r\ntransfer-encoding: chunked\r\n\r\n"
)


@dataclass(frozen=True)
class TimedApi:
    """A running one.

    Args:
        log: A line of JSON for each request that was answered: its path and its body.
    """

    process: subprocess.Popen[str]
    url: str
    log: Path

    def bodies(self) -> list[str]:
        """What was asked, in the order in which it came."""
        return self.log.read_text(encoding="utf-8").splitlines()


@contextmanager
def timed_api(folder: Path, **settings: float | str) -> Iterator[TimedApi]:
    """Run one; settings are the command line's options."""
    options = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
    log = folder / f"asked-{len(list(folder.iterdir()))}.jsonl"
    process = subprocess.Popen([sys.executable, __file__, f"--log={log}", *options], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        yield TimedApi(process, f"http://127.0.0.1:{process.stdout.readline().strip()}", log)
    finally:
        process.kill()
        process.communicate(timeout=20)


class Server:
    """Answers requests; one in `fail_every` fails."""

    def __init__(self, options: argparse.Namespace, log: TextIO) -> None:
        self._options = options
        self._log = log
        self._asked = 0

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                began_s = asyncio.get_running_loop().time()
                lines = head.decode().lower().split("\r\n")
                headers = dict(line.split(": ", 1) for line in lines[1:] if line)
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                await self._answer(writer, lines[0].split(" ")[1], headers, body, began_s)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def _answer(
        self, writer: asyncio.StreamWriter, path: str, headers: dict[str, str], body: bytes, began_s: float
    ) -> None:
        if not body:
            return _whole(writer, 404, {"detail": "Not Found"})
        self._asked += 1
        if self._asked == self._options.die_at:
            os._exit(1)
        self._log.write(f"{path} {body.decode()}\n")
        asked = json.loads(body)
        if self._options.key and headers.get("authorization") != f"bearer {self._options.key}":
            return _whole(writer, 401, {"detail": "a key is missing"})
        if self._options.fail_every and self._asked % self._options.fail_every == 0:
            return _whole(writer, 500, {"detail": "Generation failed: played"})
        tokens = asked.get("max_length") or asked.get("max_tokens") or asked["max_completion_tokens"]
        if asked.get("stream"):
            return await self._stream(writer, asked, tokens, began_s)
        await _until(began_s + (self._options.first_ms + (tokens - 1) * self._options.token_ms) / 1000)
        texts = ["word " * tokens] * asked.get("num_return_sequences", 1)
        return _whole(writer, 200, {"generated_texts": texts, "parameters": asked})

    async def _stream(self, writer: asyncio.StreamWriter, asked: dict[str, Any], tokens: int, began_s: float) -> None:
        is_chat = "messages" in asked
        writer.write(_STREAM_HEAD)
        for number in range(tokens):
            await _until(began_s + (self._options.first_ms + number * self._options.token_ms) / 1000)
            piece = {"choices": [{"index": 0, "delta": {"content": "word "}}]} if is_chat else None
            _event(writer, json.dumps(piece or {"sequence": 0, "text": "word "}))
            await writer.drain()
        if is_chat:
            usage = {"prompt_tokens": 11, "completion_tokens": tokens}
            _event(writer, json.dumps({"choices": [], "usage": usage}))
            _event(writer, "[DONE]")
        else:
            _event(writer, json.dumps({"generated_texts": ["word " * tokens], "parameters": asked}), name="done")
        writer.write(b"0\r\n\r\n")


async def _until(at_s: float) -> None:
    await asyncio.sleep(at_s - asyncio.get_running_loop().time())


def _whole(writer: asyncio.StreamWriter, status: int, body: dict[str, Any]) -> None:
    text = json.dumps(body).encode()
    writer.write(b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % (status, len(text)))
    writer.write(text)


def _event(writer: asyncio.StreamWriter, data: str, *, name: str | None = None) -> None:
    text = (f"event: {name}\n" if name else "").encode() + f"data: {data}\n\n".encode()
    writer.write(b"%x\r\n%b\r\n" % (len(text), text))


async def serve(options: argparse.Namespace, log: TextIO) -> None:
    server = await asyncio.start_server(Server(options, log).talk, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--log", required=True)
    parser.add_argument("--first-ms", type=float, default=0)
    parser.add_argument("--token-ms", type=float, default=0)
    parser.add_argument("--fail-every", type=int, default=0)
    parser.add_argument("--die-at", type=int, default=0)
    parser.add_argument("--key", default="")
    options = parser.parse_args()
    with Path(options.log).open("a", encoding="utf-8", buffering=1) as log:
        asyncio.run(serve(options, log))


if __name__ == "__main__":
    main()
