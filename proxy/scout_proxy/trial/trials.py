"""The way to the engines of a trial: the same parts as everybody's, with other upstreams and nothing that is shared.

No request of a trial shows in the metrics, where it would be taken for a user's; each has its line in the access log.
"""

from starlette.types import Receive, Scope, Send

from scout_proxy.access.gate import Gate
from scout_proxy.cache.answer_cache import AnswerCache
from scout_proxy.cache.memory_store import MemoryStore
from scout_proxy.generate.front import Front, SideEntrance
from scout_proxy.generate.generate_service import GenerateService
from scout_proxy.generate.generation import Generator
from scout_proxy.http.request_id import RequestIds
from scout_proxy.observation.metrics import Metrics
from scout_proxy.observation.observed_generation import GenerationObserver
from scout_proxy.observation.observer import Observer
from scout_proxy.route_table import Cache, CachePolicy, Cors, RouteTable, Trial
from scout_proxy.served_table import TableSource, serve_table
from scout_proxy.stopping import refuse_new
from scout_proxy.trial.trial_header import carries_token, without_token
from scout_proxy.trial.trial_upstreams import TrialUpstreams
from scout_proxy.upstreams.balancer import Balancer
from scout_proxy.upstreams.upstream_pool import UpstreamPool, review_nothing

_NO_CACHE = Cache(policy=CachePolicy.OFF)


class Trials:
    """Opens the side entrance while the table has a trial.

    Args:
        side: Of the way that all generations take.
    """

    def __init__(
        self, side: SideEntrance, routes: TableSource, pool: UpstreamPool, ids: RequestIds, observer: Observer
    ) -> None:
        self._side = side
        self._routes = routes
        self._pool = pool
        self._ids = ids
        self._observer = observer
        self._trial: Trial | None = None
        self._door: _TrialDoor | None = None

    def apply(self) -> None:
        """Take the table that is served now, after the pool did."""
        table = self._routes.served.table
        if table.trial != self._trial:
            self._end()
            self._trial = table.trial
            if table.trial is not None:
                self._door = _TrialDoor(table.trial, self._pool, self._ids, self._observer, table)
        if self._door is not None:
            self._door.apply(table)
        self._side.door = self._door
        self._pool.on_review = review_nothing if self._door is None else self._door.upstreams.admission.review

    def _end(self) -> None:
        if self._door is not None:
            self._door.upstreams.end()
            self._door = None


class _TrialDoor:
    """Admits who has the token.

    Its front has a gate without keys, whose place the token takes, and a cache that is off and that nobody else has.
    """

    def __init__(
        self, trial: Trial, pool: UpstreamPool, ids: RequestIds, observer: Observer, table: RouteTable
    ) -> None:
        self._digest = bytes.fromhex(trial.token_digest)
        self._trial = trial
        self.served = serve_table(self._seen_inside(table))
        self.upstreams = TrialUpstreams(pool, trial)
        self._cache = AnswerCache(MemoryStore(_NO_CACHE))
        metrics = Metrics(pool)
        generations = GenerationObserver(metrics, observer, lambda: self.served.table)
        balancer = Balancer(self.upstreams, on_retry=metrics.count_retry)
        self._front = Front(
            refuse_new,
            routes=self,
            gate=Gate(lambda: self.served.table),
            service=GenerateService(self, self._cache, Generator(balancer, metrics, generations), metrics),
            metrics=metrics,
            ids=ids,
            observer=observer,
        )

    def apply(self, table: RouteTable) -> None:
        """Take the table that is served now."""
        self.served = serve_table(self._seen_inside(table), self.served)
        self._cache.apply(self.served.table)
        self.upstreams.apply(table)

    def admit(self, scope: Scope) -> Scope | None:
        """See `SideDoor.admit`; what is answered has the token no more, so that nothing behind can tell it."""
        if not carries_token(scope["headers"], self._digest):
            return None
        return {**scope, "headers": without_token(scope["headers"])}

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See `SideDoor.answer`."""
        await self._front(scope, receive, send)

    def _seen_inside(self, table: RouteTable) -> RouteTable:
        changed = {"template": self._trial.template, "cache": _NO_CACHE, "keys": None, "cors": Cors()}
        return table.model_copy(update=changed)
