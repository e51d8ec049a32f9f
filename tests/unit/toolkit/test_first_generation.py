"""The generation that proves a deployment, asked of a real proxy."""

import threading
import time
from pathlib import Path

from fakes.fake_engine import fake_engine
from fakes.running_proxy import DEADLINE_S, RunningProxy, route_table, running_proxy
from scout_deploy.api_client import ApiClient
from scout_deploy.runtimes.first_generation import first_generation
from scout_proxy.route_table import Cache


def prove(proxy: RunningProxy) -> None:
    first_generation(ApiClient(proxy.url).ask, deadline_s=time.monotonic() + DEADLINE_S, stop=threading.Event())


def test_an_answer_that_is_stored_already_proves_nothing_and_users_find_no_trace_of_the_proof(tmp_path: Path) -> None:
    with (
        fake_engine() as engine,
        running_proxy(tmp_path / "routes.json", route_table(engine.url, cache=Cache())) as proxy,
    ):
        prove(proxy)
        asked = proxy.post(json={"prompt": "1 2 3", "max_length": 1})
        prove(proxy)
        cache = proxy.status()["cache"]

    assert asked.headers["X-Cache"] == "MISS"
    assert len(engine.seen.generations) == 3
    assert (cache["hits"], cache["misses"], cache["entries"]) == (0, 1, 1)
