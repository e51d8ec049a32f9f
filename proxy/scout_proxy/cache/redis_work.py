"""What waits for the lanes of the shared cache: gets that somebody waits for, and puts that nobody does. No I/O."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scout_proxy.cache.answer_form import DIGEST_CHARS, HEAD, MAX_VALUE_BYTES, write_line
from scout_proxy.cache.redis_exchange import Command, Reply, ReplyError
from scout_proxy.cache.stored_answers import StoredAnswer

KEY_PREFIX = b"scout:answers:v1:"
PROBE_KEY = KEY_PREFIX + b"probe"
_PROBE_TTL_MS = 1_000
# Ten years: servers refuse a time that overflows their own.
_LONGEST_TTL_S = 315_360_000.0

_MOST_READS_WAITING = 1024
_MOST_READS_AT_ONCE = 32
_MOST_WRITES_AT_ONCE = 32
_MOST_ATTEMPTS = 5

# Adds one line to a value, the newest last, in place of one with the same digest; the oldest go where there are too
# many or they get too long. Whatever else lies under the key is replaced. An error of SET is returned and not raised:
# servers before 7 wrap what a script raises, and then it cannot be told from others.
_ADD_LINE = b"""
local head, line, digest_chars = ARGV[1], ARGV[2], tonumber(ARGV[3])
local samples, max_bytes, ttl_ms = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local digest = string.sub(line, 1, digest_chars)
local lines, bytes = {}, #head + #line + 1
local found = redis.pcall('GETRANGE', KEYS[1], 0, max_bytes)
if type(found) == 'string' and #found <= max_bytes and string.sub(found, 1, #head) == head then
  for old in string.gmatch(string.sub(found, #head + 1), '([^\\n]+)\\n') do
    if string.sub(old, 1, digest_chars) ~= digest then
      lines[#lines + 1] = old
      bytes = bytes + #old + 1
    end
  end
end
lines[#lines + 1] = line
local first = 1
while first < #lines and (#lines - first + 1 > samples or bytes > max_bytes) do
  bytes = bytes - #lines[first] - 1
  first = first + 1
end
return redis.pcall('SET', KEYS[1], head .. table.concat(lines, '\\n', first) .. '\\n', 'PX', ttl_ms)
"""


def read_command(key: bytes) -> Command:
    """Return the command that reads a key: never more than one byte over what a value of ours can have."""
    return (b"GETRANGE", key, 0, MAX_VALUE_BYTES)


def write_command(key: bytes, line: bytes, *, samples: int, ttl_ms: int) -> Command:
    """Return the command that adds a line, the same whether the server knows the script already or not."""
    return (b"EVAL", _ADD_LINE, 1, key, HEAD, line, DIGEST_CHARS, samples, MAX_VALUE_BYTES, ttl_ms)


READ_PROBE = read_command(PROBE_KEY)
WRITE_PROBE = write_command(PROBE_KEY, b"0" * DIGEST_CHARS + b" {}", samples=1, ttl_ms=_PROBE_TTL_MS)


class WaitingReads:
    """Gets in the order of their coming, asked several at once. A get that left is not asked, and never disturbs."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[bytes, asyncio.Future[Reply | None]]] = deque()
        self._asked: list[asyncio.Future[Reply | None]] = []

    @property
    def has_room(self) -> bool:
        """Whether one more may wait."""
        return len(self._waiting) < _MOST_READS_WAITING

    def add(self, key: bytes) -> asyncio.Future[Reply | None]:
        """Return what becomes the value under the key, or None on any trouble; whoever leaves cancels it."""
        value: asyncio.Future[Reply | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((key, value))
        return value

    def take(self) -> list[Command]:
        """Return the next commands."""
        commands: list[Command] = []
        self._asked = []
        while self._waiting and len(commands) < _MOST_READS_AT_ONCE:
            key, value = self._waiting.popleft()
            if not value.done():
                commands.append(read_command(KEY_PREFIX + key.hex().encode()))
                self._asked.append(value)
        return commands

    def settle(self, replies: Sequence[Reply]) -> None:
        """Give each its value."""
        for value, reply in zip(self._asked, replies, strict=True):
            _give(value, reply)

    def set_back(self) -> None:
        """Give those that were asked nothing."""
        for value in self._asked:
            _give(value, None)

    def give_up(self) -> None:
        """Give everybody nothing."""
        self.set_back()
        while self._waiting:
            _give(self._waiting.popleft()[1], None)


def _give(value: asyncio.Future[Reply | None], reply: Reply | None) -> None:
    if not value.done():
        value.set_result(reply)


@dataclass(kw_only=True, slots=True)
class _Put:
    key: bytes
    line: bytes
    expires_at_s: float
    attempts: int = 0


class Backlog:
    """Puts that wait to be written, bounded in number and bytes. They outlast a short outage.

    Args:
        samples: The most answers that are kept under one key.
        ttl_s: Seconds from an answer's storing to its end.
        clock: Seconds since the epoch.
    """

    def __init__(
        self, *, samples: int, ttl_s: float, max_puts: int, max_bytes: int, clock: Callable[[], float]
    ) -> None:
        self._samples = samples
        self._ttl_s = ttl_s
        self._max_puts = max_puts
        self._max_bytes = max_bytes
        self._clock = clock
        self._waiting: deque[_Put] = deque()
        self._asked: list[_Put] = []
        self._bytes = 0
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._waiting) + len(self._asked)

    def add(self, key: bytes, answer: StoredAnswer) -> None:
        """Take a put, or drop it where it is no value or there is no room for it."""
        line = write_line(answer)
        if line is None or not self._has_room(line):
            self.dropped += 1
            return
        self._bytes += len(line)
        expires_at_s = answer.stored_at_s + self._ttl_s
        self._waiting.append(_Put(key=KEY_PREFIX + key.hex().encode(), line=line, expires_at_s=expires_at_s))

    def _has_room(self, line: bytes) -> bool:
        is_value = len(HEAD) + len(line) + 1 <= MAX_VALUE_BYTES
        return is_value and len(self) < self._max_puts and self._bytes + len(line) <= self._max_bytes

    def take(self) -> list[Command]:
        """Return the next commands; what has expired meanwhile is let go."""
        now_s = self._clock()
        commands: list[Command] = []
        taken_bytes = 0
        while self._waiting and len(commands) < _MOST_WRITES_AT_ONCE and taken_bytes < MAX_VALUE_BYTES:
            put = self._waiting.popleft()
            ttl_ms = int(min(put.expires_at_s - now_s, _LONGEST_TTL_S) * 1000)
            if ttl_ms <= 0:
                self._drop(put)
                continue
            self._asked.append(put)
            taken_bytes += len(put.line)
            commands.append(write_command(put.key, put.line, samples=self._samples, ttl_ms=ttl_ms))
        return commands

    def settle(self, replies: Sequence[Reply]) -> None:
        """Let go of what was written; what was refused is tried again."""
        asked, self._asked = self._asked, []
        refused = []
        for put, reply in zip(asked, replies, strict=True):
            if isinstance(reply, ReplyError):
                refused.append(put)
            else:
                self._bytes -= len(put.line)
        self._try_again(refused)

    def set_back(self) -> None:
        """Try what was taken last again; writing it twice does no harm."""
        asked, self._asked = self._asked, []
        self._try_again(asked)

    def give_up(self) -> None:
        """Keep what waits until it can be written or expires."""
        self.set_back()

    def _try_again(self, puts: list[_Put]) -> None:
        for put in reversed(puts):
            put.attempts += 1
            if put.attempts < _MOST_ATTEMPTS:
                self._waiting.appendleft(put)
            else:
                self._drop(put)

    def _drop(self, put: _Put) -> None:
        self._bytes -= len(put.line)
        self.dropped += 1
