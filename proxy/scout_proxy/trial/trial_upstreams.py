"""The upstreams of a trial: what their own balancer chooses from, while everybody else's passes them by."""

from collections.abc import Mapping
from functools import reduce

from scout_proxy.errors import RETRY_SOON_S, NotLoadedError
from scout_proxy.route_table import RouteTable, Trial, UpstreamState
from scout_proxy.upstreams.admission import Admission
from scout_proxy.upstreams.engine import EngineFacts
from scout_proxy.upstreams.observed_upstream import ObservedUpstream
from scout_proxy.upstreams.upstream_pool import UpstreamPool

_NOT_SEEN: Mapping[ObservedUpstream, int] = {}


class TrialUpstreams:
    """Those of the pool that are named and on standby. Their requests are held by nothing: they are refused at once.

    Args:
        pool: Observes them, as it does all upstreams.
    """

    def __init__(self, pool: UpstreamPool, trial: Trial) -> None:
        self._pool = pool
        self._ids = frozenset(trial.upstreams)
        self.admission = Admission(self)

    def apply(self, table: RouteTable) -> None:
        """Take what the table says."""
        self.admission.apply(None, table.limits.max_waiting)

    def end(self) -> None:
        """Take no more requests; those that wait for a place are told so."""
        self._ids = frozenset()
        self.admission.review()

    @property
    def retry_after_s(self) -> float:
        """When it makes sense to ask again where none takes requests."""
        return RETRY_SOON_S

    def is_hopeless(self) -> bool:
        """Whether none is there that may serve."""
        return not any(one.id in self._ids for one in self._pool.upstreams)

    def has_takers(self, *, seen_since: Mapping[ObservedUpstream, int] = _NOT_SEEN) -> bool:
        """See `UpstreamPool.has_takers`."""
        return any(seen_since.get(one) != one.sightings for one in self._takers())

    def pick(self, *, seen_since: Mapping[ObservedUpstream, int] = _NOT_SEEN) -> ObservedUpstream | None:
        """See `UpstreamPool.pick`."""
        free = (one for one in self._takers() if one.has_room and seen_since.get(one) != one.sightings)
        return min(free, key=lambda one: (one.in_flight, one.last_used_s), default=None)

    def limits(self) -> EngineFacts:
        """See `UpstreamPool.limits`.

        Raises:
            NotLoadedError: None takes requests.
        """
        facts = [one.facts for one in self._takers() if one.facts is not None]
        if not facts:
            raise NotLoadedError(retry_after_s=self.retry_after_s, log_reason="no upstream of the trial serves")
        return reduce(EngineFacts.least, facts)

    def eject_if_failing(self, _: ObservedUpstream) -> None:
        """Leave one in that fails: how often it does is what the trial is to find out."""

    def _takers(self) -> list[ObservedUpstream]:
        return [
            one
            for one in self._pool.upstreams
            if one.id in self._ids and one.is_serving and one.declared.state is UpstreamState.STANDBY
        ]
