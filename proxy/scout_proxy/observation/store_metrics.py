"""What is shown of the Redis server that several proxies share, as this proxy sees it."""

from collections.abc import Callable

from scout_proxy.cache.stored_answers import StoreState, StoreStatus
from scout_proxy.observation.instruments import Instruments, Reading


def show_store(make: Instruments, status: Callable[[], StoreStatus | None]) -> None:
    """Show the store of the moment at each scrape, and nothing while there is none."""

    def read(figure: Callable[[StoreStatus], Reading]) -> Callable[[], Reading]:
        def read_now() -> Reading:
            return {} if (now := status()) is None else figure(now)

        return read_now

    make.read_gauge(
        "scout_proxy_redis_up",
        "1 while Redis answers.",
        read=read(lambda now: now.state is not StoreState.UNAVAILABLE),
    )
    make.read_gauge(
        "scout_proxy_redis_state",
        "1 for the state that Redis is in, 0 for the others.",
        "state",
        read=read(lambda now: {(state.value,): now.state is state for state in StoreState}),
    )
    make.read_gauge(
        "scout_proxy_redis_backlog", "Answers that wait to be written to Redis.", read=read(lambda now: now.backlog)
    )
    make.read_counter(
        "scout_proxy_redis_hits", "Looks into Redis that found an answer.", read=read(lambda now: now.hits)
    )
    make.read_counter("scout_proxy_redis_misses", "Looks that found none.", read=read(lambda now: now.misses))
    make.read_counter(
        "scout_proxy_redis_errors", "Round trips to Redis that failed.", read=read(lambda now: now.errors)
    )
    make.read_counter(
        "scout_proxy_redis_dropped", "Answers that were never written to Redis.", read=read(lambda now: now.dropped)
    )
    make.read_counter(
        "scout_proxy_redis_foreign",
        "Values under our keys that are no answers of ours.",
        read=read(lambda now: now.foreign),
    )
