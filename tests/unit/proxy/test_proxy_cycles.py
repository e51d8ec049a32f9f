"""Requests leave nothing that only the garbage collector can find: it looks rarely, and the memory grows meanwhile."""

import gc
from collections.abc import Iterator

import pytest
import requests

from fakes.running_proxy import DEADLINE_S, RunningProxy
from scout_proxy.cache.flight import Flight
from scout_proxy.http.request_connection import RequestConnection
from scout_proxy.route_table import Cache
from scout_proxy.upstreams.client_answer import ClientAnswer

COUNT = 5
KINDS = (ClientAnswer, Flight, RequestConnection)


@pytest.fixture
def garbage() -> Iterator[list[object]]:
    """What the collector finds is kept, from here on."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    yield gc.garbage
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()


@pytest.mark.parametrize("fields", [{}, {"stream": True}, {"num_return_sequences": 3}, {"prompt": ""}], ids=str)
def test_a_request_leaves_no_cycles(proxy: RunningProxy, garbage: list[object], fields: dict[str, object]) -> None:
    proxy.configure(cache=Cache())
    with requests.Session() as session:
        for number in range(COUNT):
            body = {"prompt": f"cycle {number} {fields}", **fields}
            session.post(proxy.url + "/generate", json=body, timeout=DEADLINE_S)
        gc.collect()

    assert [one for one in garbage if isinstance(one, KINDS)] == []
