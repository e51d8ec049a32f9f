"""The dashboard and the rules ask for what the proxy really shows."""

import re
from collections.abc import Iterator

from prometheus_client.parser import text_string_to_metric_families

from fakes.dashboard import DASHBOARD, queries, rules
from scout_proxy.cache.stored_answers import StoreState, StoreStatus
from scout_proxy.observation.metrics import CacheFigures, Metrics
from scout_proxy.upstreams.engine_loading import load_tgi_engines
from scout_proxy.upstreams.upstream_pool import UpstreamPool

_NAME = re.compile(r"(?<![\w:])(?:scout_proxy|process)_\w+(?![\w:])")
_WIDTH = 24


def shown() -> Iterator[str]:
    """Return the name of every series that a proxy with every part can show."""
    metrics = Metrics(UpstreamPool(load_tgi_engines))
    metrics.read_queue(lambda: 0)
    metrics.read_cache(lambda: CacheFigures(entries=0, size_bytes=0, max_entries=1, max_bytes=1))
    store = StoreStatus(
        state=StoreState.OK, reason=None, since_s=0.0, hits=0, misses=0, errors=0, foreign=0, dropped=0, backlog=0
    )
    metrics.read_store(lambda: store)
    for family in text_string_to_metric_families(metrics.render().decode()):
        endings = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(family.type, [""])
        yield from (family.name + ending for ending in endings)


def test_every_series_that_is_asked_for_can_be_there() -> None:
    asked = {
        name
        for expression in [*(query for _, query in queries()), *(rule["expr"] for rule in rules())]
        for name in _NAME.findall(expression)
    }

    assert asked
    assert asked - set(shown()) == set()


def test_every_series_of_ours_is_on_the_dashboard() -> None:
    """What nobody looks at costs a scrape its time; these few are for questions of another kind."""
    for_other_questions = {
        "scout_proxy_redis_state",
        "scout_proxy_redis_misses_total",
        "scout_proxy_redis_foreign_total",
    }
    asked = {name for _, query in queries() for name in _NAME.findall(query)}
    families = {re.sub(r"_(sum|count)$", "_bucket", name) for name in shown() if name.startswith("scout_proxy_")}

    assert families - asked == for_other_questions


def test_a_recorded_rule_that_is_asked_for_is_recorded() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    asked = {name for rule in rules() for name in re.findall(r"\w+:\w+:\w+", rule["expr"])}

    assert asked - recorded == set()


def test_every_alert_says_what_is_wrong_and_what_to_do_next() -> None:
    for rule in rules():
        if "alert" in rule:
            assert rule["labels"]["severity"] in {"critical", "warning"}
            assert set(rule["annotations"]) == {"summary", "next"}


def test_panels_do_not_overlap_and_have_ids_of_their_own() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < _WIDTH
        taken |= cells

    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))


def test_a_panel_asks_the_chosen_data_source_and_names_its_unit() -> None:
    source = {"type": "prometheus", "uid": "${datasource}"}

    for panel in (panel for panel in DASHBOARD["panels"] if panel["type"] != "row"):
        assert panel["datasource"] == source, panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert all(target["datasource"] == source for target in panel["targets"]), panel["title"]
