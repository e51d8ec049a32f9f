"""Brings one piece of work to an upstream, and to another one where the first lets it down before its client knows."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from scout_proxy.caller import Caller
from scout_proxy.errors import AnswerCutOffError, NotLoadedError, OverloadedError, ProxyError
from scout_proxy.upstreams.admission import Admission, Sightings
from scout_proxy.upstreams.engine import Engine, EngineFacts
from scout_proxy.upstreams.observed_upstream import ObservedUpstream

_T = TypeVar("_T")

# Failures that say something of the upstream and nothing of the request. UpstreamLostError is a NotLoadedError.
_ELSEWHERE = (NotLoadedError, AnswerCutOffError, OverloadedError)


@dataclass(kw_only=True, slots=True)
class Attempt:
    """One try at one upstream. Work that sends to its client sets `has_sent` first; it is not tried again then."""

    upstream: str
    engine: Engine
    facts: EngineFacts
    has_sent: bool = False


class Pool(Protocol):
    """What work is balanced over."""

    @property
    def admission(self) -> Admission:
        """Gives the places at its upstreams."""
        ...

    def limits(self) -> EngineFacts:
        """Return what every upstream that takes requests has room for."""
        ...

    def eject_if_failing(self, upstream: ObservedUpstream) -> None:
        """Take an upstream out that answers but fails generations."""
        ...


class Balancer:
    """Gives work to the upstream with the fewest requests in flight, as soon as one has a place for it.

    Args:
        on_retry: Told the id of the upstream that let work down, and how, whenever the work is done again.
    """

    def __init__(self, pool: Pool, *, on_retry: Callable[[str, ProxyError], None]) -> None:
        self._pool = pool
        self._admission = pool.admission
        self._on_retry = on_retry

    async def wait_until_taken(self, caller: Caller) -> None:
        """Return when an upstream takes requests, with a place or without: at once, or after the table's hold.

        Raises:
            NotLoadedError: None does, and there is no hold, or no more room or time in it.
        """
        await self._admission.wait_until_taken(caller)

    def limits(self) -> EngineFacts:
        """Return what every upstream that takes requests has room for.

        Raises:
            NotLoadedError: None takes requests.
        """
        return self._pool.limits()

    async def run(self, work: Callable[[Attempt], Awaitable[_T]], caller: Caller) -> _T:
        """Do `work` at an upstream that has a place for it, waiting for one if need be; it has the place meanwhile.

        Where the upstream is lost, is not ready or cuts its answer off, the work is done again at another one, at
        each at most once; where the upstream says that it is at its limit, it waits for a place again. When no
        upstream is left, the last failure is raised; while the table holds requests, the work waits like a new one.

        Raises:
            ProxyError: What `work` raises; `OverloadedError` where too many wait; `NotLoadedError` where no upstream
                takes requests.
        """
        upstream = self._admission.take_now() or await self._admission.take(caller)
        sightings: dict[ObservedUpstream, int] = {}
        while True:
            failure: ProxyError | None = None
            attempt: Attempt | None = None
            try:
                engine, facts = upstream.reached()
                attempt = Attempt(upstream=upstream.id, engine=engine, facts=facts)
                result = await work(attempt)
            except ProxyError as exc:
                upstream.note_failure(exc)
                has_sent = attempt is not None and attempt.has_sent
                if has_sent or not isinstance(exc, _ELSEWHERE) or self._is_over(upstream, sightings):
                    raise
                failure = exc
            else:
                upstream.note_answer()
                return result
            finally:
                self._admission.release(upstream, refused=isinstance(failure, OverloadedError))
                self._pool.eject_if_failing(upstream)
            if not isinstance(failure, OverloadedError):
                sightings[upstream] = upstream.sightings
            let_down = upstream.id
            upstream = await self._admission.take(caller, sightings=sightings, failure=failure)
            self._on_retry(let_down, failure)

    def _is_over(self, upstream: ObservedUpstream, sightings: Sightings) -> bool:
        """Tell whether work that fails at this upstream again is done with: only a hold has it tried once more."""
        return upstream in sightings and self._admission.hold is None
