"""The dashboard's queries and the rules, asked of a real Prometheus that scrapes a real proxy."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.api_keys import ALICE, api_key, api_keys, bearer
from fakes.dashboard import queries, rules
from fakes.fake_engine import Behaviour, Failure, FakeEngine, fake_engine
from fakes.prometheus_server import FOLDER, PrometheusServer, program, prometheus_server
from fakes.redis_server import RedisServer, redis_server
from fakes.running_proxy import RunningProxy, route_table, running_proxy, wait_until
from scout_proxy.route_table import Cache, RouteTable

SCRAPES = 4
DEADLINE_S = 60.0


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    """A server that has seen the traffic of `ask` come."""
    folder = tmp_path_factory.mktemp("prometheus")
    with (
        redis_server() as redis,
        fake_engine() as engine,
        fake_engine(Behaviour(failure=Failure.CLOSED, proof_failure=Failure.NONE)) as bad_engine,
        running_proxy(folder / "routes.json", table(folder, redis, engine, bad_engine)) as proxy,
        prometheus_server(folder, f"127.0.0.1:{proxy.port}") as server,
    ):
        wait_until(lambda: takers(proxy) == 2, "both engines serve")
        wait_until(lambda: server.query("scout_proxy_build_info"), "the first scrape", DEADLINE_S)
        ask(proxy)
        scrapes_before = scrapes(server)
        wait_until(lambda: scrapes(server) >= scrapes_before + SCRAPES, "scrapes after the traffic", DEADLINE_S)
        yield server


def takers(proxy: RunningProxy) -> float:
    return sum(value for name, value in proxy.samples().items() if name[0] == "scout_proxy_upstream_up")


def table(folder: Path, redis: RedisServer, *engines: FakeEngine) -> RouteTable:
    (folder / "redis-url").write_text(redis.url, encoding="utf-8")
    keys = api_keys(api_key("alice", ALICE, requests_per_minute=20), open_metrics=True)
    return route_table(*(engine.url for engine in engines), cache=Cache(redis_url_file="redis-url"), keys=keys)


def ask(proxy: RunningProxy) -> None:
    """Ask for everything that the dashboard shows: misses, hits, streams, retries, failures, refusals."""
    key = bearer(ALICE)
    for number in range(6):
        for _ in range(2):
            assert proxy.post(json={"prompt": f"prompt {number}"}, headers=key).status_code == 200
    assert proxy.post(json={"prompt": "stream", "stream": True}, headers=key).status_code == 200
    assert proxy.post(json={"prompt": ""}, headers=key).status_code == 422
    assert proxy.post(json={"prompt": "no key"}).status_code == 401
    assert proxy.get("/nothing", headers=key).status_code == 404


def scrapes(server: PrometheusServer) -> float:
    series = server.query("count_over_time(scout_proxy_build_info[5m])")
    return float(series[0]["value"][1])


# What did not happen.
WITHOUT_DATA = {"Restarts"}


@pytest.mark.parametrize(("panel", "query"), list(queries()))
def test_a_query_of_the_dashboard_gives_what_there_is(prometheus: PrometheusServer, panel: str, query: str) -> None:
    series = prometheus.query(query)

    assert bool(series) == (panel not in WITHOUT_DATA)


def test_every_rule_is_loaded_and_can_be_evaluated(prometheus: PrometheusServer) -> None:
    wait_until(
        lambda: all(rule["health"] != "unknown" for rule in prometheus.rules()), "every rule was evaluated", DEADLINE_S
    )

    loaded = prometheus.rules()
    assert {rule["name"] for rule in loaded} == {rule.get("alert") or rule["record"] for rule in rules()}
    assert [(rule["name"], rule.get("lastError")) for rule in loaded if rule["health"] != "ok"] == []


def test_nothing_alerts_while_all_is_well(prometheus: PrometheusServer) -> None:
    """But for what a busy machine does: a proxy without a core of its own is late, and a scrape can be too."""
    alerts = 'ALERTS{alertname!~"ScoutEventLoopLate|ScoutProxyDown"}'
    # An alert is pending for as long as a server or an engine was late, and then goes away.
    wait_until(lambda: prometheus.query(alerts) == [], "nothing alerts", DEADLINE_S)


@pytest.mark.parametrize("command", [["check", "config", "prometheus.yml"], ["test", "rules", "alert-tests.yml"]])
def test_promtool_finds_nothing_wrong(command: list[str]) -> None:
    found = subprocess.run([program("promtool"), *command], cwd=FOLDER, capture_output=True, text=True, check=False)

    assert found.returncode == 0, found.stdout + found.stderr


def test_every_alert_has_a_test_of_its_own() -> None:
    tested = (Path(FOLDER) / "alert-tests.yml").read_text(encoding="utf-8")

    assert [rule["alert"] for rule in rules() if "alert" in rule and f"alertname: {rule['alert']}" not in tested] == []


def test_promtool_finds_nothing_wrong_with_what_the_proxy_shows(tmp_path: Path) -> None:
    with (
        redis_server() as redis,
        fake_engine() as engine,
        running_proxy(tmp_path / "routes.json", table(tmp_path, redis, engine)) as proxy,
    ):
        wait_until(lambda: proxy.samples()["scout_proxy_serving",], "the engine serves")
        ask(proxy)
        exposition = proxy.get("/metrics").text
    found = subprocess.run(
        [program("promtool"), "check", "metrics"], input=exposition, capture_output=True, text=True, check=False
    )

    assert (found.returncode, found.stdout + found.stderr) == (0, "")
