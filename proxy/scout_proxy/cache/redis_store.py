"""The store of answers that several proxies share: a Redis or Valkey server, which may be slow, full, or gone.

Each request's key is one string of the server's, in the form of `answer_form`, which expires by itself. Gets and puts
have a lane each, so that a server that takes nothing still gives. What lies under our keys and is not ours is a miss,
and the next answer replaces it.
"""

import asyncio
import logging
import time
from collections.abc import Callable

from scout_proxy.cache.answer_form import read_value
from scout_proxy.cache.redis_address import parse_redis_url
from scout_proxy.cache.redis_exchange import Reply, ReplyError
from scout_proxy.cache.redis_lane import Lane
from scout_proxy.cache.redis_link import RedisLink
from scout_proxy.cache.redis_work import READ_PROBE, WRITE_PROBE, Backlog, WaitingReads
from scout_proxy.cache.stored_answers import StoredAnswer, StoreState, StoreStatus

_log = logging.getLogger(__name__)

# Far above a healthy server's answer, its pauses to fork included, and far below what an engine takes for one.
TIMEOUT_S = 0.1
# Nobody waits for a write.
_WRITE_TIMEOUT_S = 1.0
_CONNECT_TIMEOUT_S = 1.0
_LAST_WRITES_S = 1.0
_CLOCK_SKEW_S = 60.0


class RedisStore:
    """Answers shared by several proxies. Never fails a request, never keeps one waiting longer than `timeout_s`.

    Connects at once, and asks nothing before that went well; needs a running event loop.

    Args:
        url: As `redis_address` describes.
        ttl_s: Seconds after which an answer is no longer given.
        samples: The most different answers to one request.
        clock: Seconds since the epoch.
        timeout_s: For one get. After some that took longer none is asked until a probe was quick again.
        write_timeout_s: For some puts together.
        connect_timeout_s: For a look at a server that is not known to work.
        max_backlog: The most puts that wait to be written.
        max_backlog_bytes: The most bytes that they take.
        idle_probe_s: Seconds without a request after which the server is looked at, so that the status stays true.

    Raises:
        ValueError: The URL is wrong; the message says how, without its password.
    """

    def __init__(
        self,
        url: str,
        *,
        ttl_s: float,
        samples: int,
        clock: Callable[[], float] = time.time,
        timeout_s: float = TIMEOUT_S,
        write_timeout_s: float = _WRITE_TIMEOUT_S,
        connect_timeout_s: float = _CONNECT_TIMEOUT_S,
        max_backlog: int = 1024,
        max_backlog_bytes: int = 16_777_216,
        idle_probe_s: float = 5.0,
    ) -> None:
        address = parse_redis_url(url)
        self._address = address.text
        self._ttl_s = ttl_s
        self._samples = samples
        self._clock = clock
        self._timeout_s = timeout_s
        self._hits = self._misses = self._foreign = 0
        self._state, self._since_s = StoreState.OK, clock()
        self._is_closed = False
        self._reads = WaitingReads()
        self._backlog = Backlog(
            samples=samples, ttl_s=ttl_s, max_puts=max_backlog, max_bytes=max_backlog_bytes, clock=clock
        )
        self._reader = Lane(
            "reader",
            RedisLink(address),
            self._reads,
            probe=READ_PROBE,
            timeout_s=timeout_s,
            connect_timeout_s=connect_timeout_s,
            idle_probe_s=idle_probe_s,
            on_change=self._note_reads,
        )
        self._writer = Lane(
            "writer",
            RedisLink(address),
            self._backlog,
            probe=WRITE_PROBE,
            timeout_s=write_timeout_s,
            connect_timeout_s=connect_timeout_s,
            idle_probe_s=idle_probe_s,
            on_change=self._note_state,
        )

    async def get(self, key: bytes) -> tuple[StoredAnswer, ...]:
        """Return the fresh answers, oldest first; none on a miss or any trouble."""
        answers = self._fresh(await self._read(key))
        if answers:
            self._hits += 1
        else:
            self._misses += 1
        return answers

    def put(self, key: bytes, answer: StoredAnswer) -> None:
        """Return at once; the answer is written in the background, or dropped and counted where the backlog is full."""
        if not self._is_closed:
            self._backlog.add(key, answer)
            self._writer.wake()

    def status(self) -> StoreStatus:
        """Return the status of this moment."""
        self._note_state()
        return StoreStatus(
            state=self._state,
            reason=self._reason(),
            since_s=self._since_s,
            hits=self._hits,
            misses=self._misses,
            errors=self._reader.errors + self._writer.errors,
            foreign=self._foreign,
            dropped=self._backlog.dropped,
            backlog=len(self._backlog),
        )

    async def close(self) -> None:
        """Write what waits if that is quick, and close both connections; gets give nothing from now on."""
        self._is_closed = True
        await self._writer.finish(_LAST_WRITES_S)
        await asyncio.gather(self._reader.close(), self._writer.close())

    async def _read(self, key: bytes) -> Reply | None:
        if self._is_closed or not self._reader.is_working or not self._reads.has_room:
            return None
        value = self._reads.add(key)
        self._reader.wake()
        try:
            async with asyncio.timeout(self._timeout_s):
                return await value
        except TimeoutError:
            return None

    def _fresh(self, reply: Reply | None) -> tuple[StoredAnswer, ...]:
        if isinstance(reply, ReplyError):
            self._foreign += reply.is_wrong_type
            return ()
        if not isinstance(reply, bytes):
            return ()
        found = read_value(reply)
        self._foreign += found.foreign
        now_s = self._clock()
        # A proxy's clock may run a little ahead of this one's, but what is from tomorrow would never get old.
        fresh = (one for one in found.answers if -_CLOCK_SKEW_S <= now_s - one.stored_at_s < self._ttl_s)
        return tuple(fresh)[-self._samples :]

    def _reason(self) -> str | None:
        match self._state:
            case StoreState.UNAVAILABLE:
                return f"{self._address}: {self._reader.reason}"
            case StoreState.READ_ONLY:
                return f"{self._address} takes no answers: {self._writer.reason}"
        return None

    def _note_reads(self) -> None:
        # A server that came back came back for both, most likely; what is known of puts is from before.
        if not self._reader.has_failed and self._writer.has_failed:
            self._writer.look_again()
        self._note_state()

    def _note_state(self) -> None:
        if self._is_closed:
            return
        if self._reader.has_failed:
            state = StoreState.UNAVAILABLE
        elif self._writer.has_failed:
            state = StoreState.READ_ONLY
        else:
            state = StoreState.OK
        if state is self._state:
            return
        self._state, self._since_s = state, self._clock()
        if state is StoreState.OK:
            _log.info("the shared cache works again", extra={"address": self._address})
        else:
            _log.warning("the shared cache fails", extra={"state": state, "reason": self._reason()})
