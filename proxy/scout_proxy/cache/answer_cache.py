"""The response cache: what may be read, what is stored, and which requests share one generation."""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from time import monotonic, time

from pydantic_core import to_json

from scout_proxy.cache.cache_directives import CacheDirectives
from scout_proxy.cache.flight import Flight, Texts
from scout_proxy.cache.memory_store import MemoryStore, RenderedAnswer
from scout_proxy.cache.stored_answers import SharedStore, StoredAnswer
from scout_proxy.generate.contract import GenerateRequest
from scout_proxy.generate.sampling import is_deterministic
from scout_proxy.route_table import Cache, CachePolicy, CacheScope, Limits, RouteTable


class CacheOutcome(StrEnum):
    """Value of `X-Cache`."""

    HIT = "HIT"
    MISS = "MISS"
    BYPASS = "BYPASS"
    COALESCED = "COALESCED"


@dataclass(frozen=True, kw_only=True, slots=True)
class CachePlan:
    """What the cache does for one request.

    Args:
        key: None where nothing of it is stored or shared.
        reads: Whether a stored answer, or one that is being generated for another request, will do.
        texts: How many an answer to it has.
        most: How many different answers are kept for it.
        max_age_s: The oldest answer that will do; None is any that is fresh.
        era: In which the plan was made; what is generated for it is not stored in another one.
    """

    key: bytes | None
    reads: bool
    texts: int = 1
    most: int = 1
    max_age_s: int | None = None
    era: int = 0


_BYPASS = CachePlan(key=None, reads=False)


class AnswerCache:
    """Decides by the table of the moment; a table with another model, engine or template finds nothing of the old one.

    Args:
        memory: The store in this process.
        clock: Seconds since the epoch.
    """

    def __init__(self, memory: MemoryStore, *, clock: Callable[[], float] = time) -> None:
        self.memory = memory
        self.shared: SharedStore | None = None
        self._clock = clock
        self._settings = Cache()
        self._limits = Limits()
        self._identity = b""
        self._era = 0
        self._flights: dict[bytes, Flight] = {}

    @property
    def is_on(self) -> bool:
        """Whether anything is stored at all."""
        return self._settings.policy is not CachePolicy.OFF

    def apply(self, table: RouteTable) -> None:
        """Take what the table says of the cache, and of what answers."""
        identity = answers_identity(table)
        if identity != self._identity or _rules(table.cache) != _rules(self._settings):
            self._era += 1
            self.memory.clear()
        elif table.limits != self._limits:
            # A body that was allowed before may be refused now.
            self.memory.forget_bodies()
        self._identity, self._settings, self._limits = identity, table.cache, table.limits
        self.memory.apply(table.cache)

    def plan(self, request: GenerateRequest, echo: bytes, directives: CacheDirectives, key_id: str) -> CachePlan:
        """Decide for a request.

        Args:
            echo: The request's `parameters` as they are echoed, which say all that can change its answer.
            key_id: Of its API key.
        """
        if not self.is_on or directives.no_store:
            return _BYPASS
        deterministic = is_deterministic(request)
        if self._settings.policy is CachePolicy.DETERMINISTIC and not deterministic:
            return _BYPASS
        scope = key_id.encode() if self._settings.scope is CacheScope.KEY else b""
        return CachePlan(
            key=hashlib.sha256(b"\n".join((self._identity, scope, echo))).digest(),
            reads=not directives.no_cache,
            texts=request.num_return_sequences,
            most=1 if deterministic else self._settings.samples,
            max_age_s=directives.max_age_s,
            era=self._era,
        )

    def find_in_memory(self, plan: CachePlan) -> RenderedAnswer | None:
        """Return a stored answer that will do, of this process."""
        if plan.key is None or not plan.reads:
            return None
        entry = self.memory.get(plan.key)
        if entry is None or not entry.is_complete:
            return None
        found = entry.next()
        if plan.max_age_s is not None and self._clock() - found.answer.stored_at_s > plan.max_age_s:
            return None
        return found

    async def find(self, plan: CachePlan) -> RenderedAnswer | None:
        """Return a stored answer that will do, of this process or of another one."""
        found = self.find_in_memory(plan)
        if found is not None or self.shared is None or plan.key is None or not plan.reads:
            return found
        # Whoever else writes there could have put in what is an answer, but to something else.
        answers = [one for one in await self.shared.get(plan.key) if len(one.texts) == plan.texts]
        if answers and plan.era == self._era:
            self.memory.put(plan.key, answers, most=plan.most)
        return self.find_in_memory(plan)

    def fly(self, plan: CachePlan, generate: Callable[[Flight], Awaitable[Texts]]) -> tuple[Flight, CacheOutcome]:
        """Join the generation of the same request, or start one whose answer is stored as the plan says."""
        if plan.key is None:
            return Flight(generate), CacheOutcome.BYPASS
        if plan.reads and (flight := self._flights.get(plan.key)) is not None:
            return flight, CacheOutcome.COALESCED
        key = plan.key

        def land(flight: Flight) -> None:
            if self._flights.get(key) is flight:
                del self._flights[key]
            if flight.texts is not None and plan.era == self._era:
                self._store(key, flight.texts, monotonic() - flight.began_s, plan.most)

        flight = Flight(generate, on_end=land)
        if plan.reads:
            self._flights[key] = flight
        return flight, CacheOutcome.MISS if plan.reads else CacheOutcome.BYPASS

    def know_body(self, plan: CachePlan, body: bytes, end: bytes, key_id: str) -> None:
        """Let the next request with this very body be answered at once; `end` follows the texts in its answer."""
        if plan.key is not None and plan.era == self._era:
            self.memory.know_body(plan.key, self._scoped(body, key_id), end)

    def find_by_body(self, body: bytes, key_id: str) -> tuple[RenderedAnswer, bytes] | None:
        """Return the answer for a body that is known, and what follows the texts in it."""
        found = self.memory.get_by_body(self._scoped(body, key_id))
        if found is None:
            return None
        entry, end = found
        return (entry.next(), end) if entry.is_complete else None

    def age_s(self, answer: StoredAnswer) -> int:
        """Return the value of `Age` (RFC 9111 §5.1)."""
        return max(0, int(self._clock() - answer.stored_at_s))

    def _scoped(self, body: bytes, key_id: str) -> bytes:
        return body if self._settings.scope is CacheScope.SHARED else key_id.encode() + b"\n" + body

    def _store(self, key: bytes, texts: Texts, generation_s: float, most: int) -> None:
        answer = StoredAnswer(texts=texts, stored_at_s=self._clock(), generation_s=generation_s)
        self.memory.put(key, (answer,), most=most, is_new=True)
        if self.shared is not None:
            self.shared.put(key, answer)


def _rules(settings: Cache) -> tuple[CachePolicy, CacheScope, int]:
    """Return what decides whose answers are stored, and how many; bounds do not."""
    return settings.policy, settings.scope, settings.samples


def answers_identity(table: RouteTable) -> bytes:
    """Return what stands for everything that answers: model, revision, engine, its numbers' formats, and template."""
    return hashlib.sha256(to_json((table.serving, table.template))).digest()
