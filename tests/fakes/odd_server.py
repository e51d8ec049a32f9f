"""A server on a free port that is no Redis, or an odd one: it says the same bytes to each command."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


@asynccontextmanager
async def odd_server(words: bytes, *, to_others: bytes | None = None, closes: bool = False) -> AsyncIterator[str]:
    """Yield its address, as host and port.

    Args:
        words: Said to each command.
        to_others: Said instead to those that do not ask for data.
        closes: Close the connection after the first words.
    """

    talks: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while said := await reader.read(65536):
                for command in _commands(said):
                    is_other = command not in {b"GETRANGE", b"EVAL"}
                    writer.write(to_others if is_other and to_others is not None else words)
                if closes:
                    break
            writer.close()
            await writer.wait_closed()

    def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks[asyncio.create_task(talk(reader, writer))] = writer

    server = await asyncio.start_server(meet, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for writer in talks.values():
            writer.close()
        await asyncio.gather(*talks)


def _commands(said: bytes) -> list[bytes]:
    """Return the names of the commands that were sent, each an array of a known length."""
    lines = said.split(b"\r\n")
    return [lines[index + 2] for index, line in enumerate(lines[:-2]) if line[:1] == b"*" and line[1:].isdigit()]
