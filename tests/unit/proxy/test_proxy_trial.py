"""Requests that carry a trial's token go to the engines on standby alone, and nobody else's do."""

import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from fakes.api_keys import ALICE, api_key, api_keys, bearer
from fakes.fake_engine import Behaviour, Failure, FakeEngine, fake_engine
from fakes.running_proxy import RunningProxy, load_on, route_table, running_proxy, wait_until
from scout_proxy.observation.access_log import AccessLog
from scout_proxy.observation.observer import Observer
from scout_proxy.route_table import Cache, Hold, RouteTable, Template, Trial, Upstream, UpstreamState

TOKEN = "a-token-that-nobody-guesses"  # noqa: S105  # of a test
HEADER = "X-Scout-Trial"


@pytest.fixture
def new() -> Iterator[FakeEngine]:
    """An engine on standby."""
    with fake_engine() as engine:
        yield engine


def trial(**changes: Any) -> Trial:
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    return Trial(**{"token_digest": digest, "upstreams": ("new",), **changes})


def begin(proxy: RunningProxy, engine: FakeEngine, new: FakeEngine, **changes: Any) -> None:
    """Put the new engine on standby and open the trial."""
    upstreams = (
        Upstream(id="engine-0", url=engine.url, state=UpstreamState.RUNNING),
        Upstream(id="new", url=new.url, state=UpstreamState.STANDBY),
    )
    proxy.configure(**{"upstreams": upstreams, "trial": trial(), **changes})
    proxy.wait_until_observed(new="serving")


def ask(proxy: RunningProxy, prompt: str, token: str | None = TOKEN, **headers: str) -> requests.Response:
    sent = {**headers, **({} if token is None else {HEADER: token})}
    return proxy.post(json={"prompt": prompt}, headers=sent)


def prompts(engine: FakeEngine) -> list[str]:
    return [body["inputs"] for body in engine.seen.generations]


def test_only_the_token_leads_to_the_engine_on_standby(
    proxy: RunningProxy, engine: FakeEngine, new: FakeEngine
) -> None:
    begin(proxy, engine, new)
    with load_on(proxy, prompt=lambda: "everybody's") as load:
        load.go_on(10)
        answers = [ask(proxy, f"mine {number}") for number in range(10)]
        others = [ask(proxy, f"other {number}", token) for number, token in enumerate(["wrong", "", TOKEN[:-1], None])]
        load.go_on(10)

    assert {answer.status_code for answer in (*answers, *others)} == {200}
    assert set(load.statuses) == {200}
    assert prompts(new) == [f"mine {number}" for number in range(10)]
    assert {"everybody's", *(f"other {number}" for number in range(4))} == set(prompts(engine))


def test_a_streamed_trial_is_answered_piece_by_piece(proxy: RunningProxy, engine: FakeEngine, new: FakeEngine) -> None:
    begin(proxy, engine, new)

    answer = proxy.post(json={"prompt": "mine", "stream": True}, headers={HEADER: TOKEN})

    assert (answer.status_code, answer.headers["X-Cache"]) == (200, "BYPASS")
    assert "event: done\n" in answer.text
    assert prompts(new) == ["mine"]


def test_a_hold_keeps_everybody_else_waiting(proxy: RunningProxy, new: FakeEngine) -> None:
    standby = Upstream(id="new", url=new.url, state=UpstreamState.STANDBY)
    proxy.configure(upstreams=(standby,), hold=Hold(max_wait_s=30), trial=trial())
    proxy.wait_until_observed(new="serving")
    with load_on(proxy, prompt=lambda: "everybody's") as load:
        wait_until(lambda: proxy.status()["hold"]["waiting"] == 6, "they wait")
        assert ask(proxy, "mine").status_code == 200
        assert (proxy.status()["hold"]["waiting"], prompts(new)) == (6, ["mine"])
        proxy.configure(upstreams=(standby.model_copy(update={"state": UpstreamState.RUNNING}),), hold=None, trial=None)
        load.go_on(6)

    assert set(load.statuses) == {200}


def test_the_token_takes_the_place_of_a_key_and_of_its_limits(
    proxy: RunningProxy, engine: FakeEngine, new: FakeEngine
) -> None:
    begin(proxy, engine, new, keys=api_keys(api_key("alice", ALICE, requests_per_minute=1), open_status=True))

    assert [ask(proxy, "mine").status_code for _ in range(3)] == [200, 200, 200]
    assert [ask(proxy, "mine", **bearer(ALICE)).status_code for _ in range(3)] == [200, 200, 200]
    assert ask(proxy, "other", "wrong").status_code == 401
    assert proxy.post("/v1/completions", json={"prompt": "other"}, headers={HEADER: TOKEN}).status_code == 401
    assert proxy.get("/metrics", headers={HEADER: TOKEN}).status_code == 401
    assert [ask(proxy, "other", None, **bearer(ALICE)).status_code for _ in range(2)] == [200, 429]
    assert prompts(engine) == ["other"]


def test_the_cache_is_neither_read_nor_filled(proxy: RunningProxy, engine: FakeEngine, new: FakeEngine) -> None:
    begin(proxy, engine, new, cache=Cache())
    assert [ask(proxy, "known", None).headers["X-Cache"] for _ in range(2)] == ["MISS", "HIT"]

    assert [ask(proxy, prompt).headers["X-Cache"] for prompt in ("known", "fresh", "fresh")] == ["BYPASS"] * 3

    assert prompts(new) == ["known", "fresh", "fresh"]
    assert ask(proxy, "fresh", None).headers["X-Cache"] == "MISS"
    assert proxy.status()["cache"]["entries"] == 2


def test_without_a_trial_the_header_is_nothing_special(
    proxy: RunningProxy, engine: FakeEngine, new: FakeEngine
) -> None:
    begin(proxy, engine, new, cache=Cache())
    assert ask(proxy, "mine").status_code == 200
    proxy.configure(trial=None)

    assert [ask(proxy, "known").headers["X-Cache"] for _ in range(3)] == ["MISS", "HIT", "HIT"]

    assert (prompts(engine), prompts(new)) == (["known"], ["mine"])


def test_prompts_have_the_format_of_the_new_model(proxy: RunningProxy, engine: FakeEngine, new: FakeEngine) -> None:
    templates = [
        Template(chat_template=f"{{% for m in messages %}}[{name}] {{{{ m.content }}}}{{% endfor %}}")
        for name in ("old", "new")
    ]
    begin(proxy, engine, new, template=templates[0], trial=trial(template=templates[1]))

    assert [ask(proxy, "p", token).status_code for token in (None, TOKEN)] == [200, 200]

    assert (prompts(engine), prompts(new)) == (["[old] p"], ["[new] p"])


def test_an_engine_that_takes_everybodys_requests_is_not_tried(
    proxy: RunningProxy, engine: FakeEngine, new: FakeEngine
) -> None:
    begin(proxy, engine, new, trial=trial(upstreams=("engine-0",)))

    answer = ask(proxy, "mine")

    assert (answer.status_code, answer.json()) == (503, {"detail": "Model or tokenizer not loaded"})
    assert (prompts(engine), prompts(new)) == ([], [])


def test_an_engine_that_fails_its_trial_stays_in_it(proxy: RunningProxy, engine: FakeEngine, new: FakeEngine) -> None:
    begin(proxy, engine, new)
    new.behaviour = Behaviour(failure=Failure.GENERATION)

    assert [ask(proxy, "mine").status_code for _ in range(5)] == [500] * 5

    assert ask(proxy, "other", None).status_code == 200
    assert len(prompts(new)) == 5
    new.kill()
    wait_until(lambda: ask(proxy, "mine").status_code == 503, "it is told that nobody is there")
    assert ask(proxy, "other", None).status_code == 200


def test_the_metrics_are_those_of_users_alone(proxy: RunningProxy, engine: FakeEngine, new: FakeEngine) -> None:
    begin(proxy, engine, new)
    before = proxy.samples()

    ask(proxy, "mine")
    ask(proxy, "other", None)

    name = ("scout_proxy_requests_total", "/generate", "200")
    assert proxy.samples()[name] - before.get(name, 0.0) == 1


def test_the_token_reaches_no_engine_and_no_log(
    tmp_path: Path, engine: FakeEngine, new: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    observer = Observer(access_log=AccessLog(one_in=1, with_prompts=True))
    table = route_table(engine.url)
    with running_proxy(tmp_path / "routes.json", table, observer=observer) as proxy:
        begin(proxy, engine, new)
        statuses = [ask(proxy, prompt, token).status_code for prompt, token in (("mine", TOKEN), ("x", "wrong-token"))]
        new.behaviour = Behaviour(failure=Failure.GARBAGE)
        statuses.append(ask(proxy, "mine").status_code)

    assert statuses == [200, 200, 500]
    heads = "".join((*engine.seen.heads, *new.seen.heads)).lower()
    assert heads
    logged = "\n".join(f"{one.getMessage()} {vars(one)}" for one in caplog.records)
    assert "mine" in logged
    for word in (TOKEN, "wrong-token", HEADER.lower()):
        assert word not in heads
        assert word not in logged.lower()


def test_a_table_without_a_trial_is_written_as_before() -> None:
    table = route_table("http://engine")

    assert "trial" not in table.model_dump_json()
    assert "trial" not in table.model_dump()
    with_trial = table.model_copy(update={"trial": trial()})
    assert RouteTable.model_validate_json(with_trial.model_dump_json()) == with_trial
