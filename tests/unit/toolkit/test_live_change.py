"""What a deployment of processes takes over as it runs: settings, keys and the address of Redis."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fakes.api_keys import ALICE, BOB
from fakes.scripted_deployment import ScriptedDeployment
from scout_deploy.api_client import call_api
from scout_deploy.bring_up import bring_up
from scout_deploy.deployment import DeploymentSpec, Up
from scout_deploy.errors import DeploymentChangedError
from scout_deploy.profile.profile import Profile
from scout_deploy.progress import Progress
from scout_deploy.proxy_secrets import ProxySecrets, make_secrets
from scout_deploy.proxy_settings import proxy_settings
from scout_proxy.access.key_ring import KeyRing
from scout_proxy.route_table import read_route_table

URL = "redis://:a-password@cache.example"


def silent(_: Progress) -> None:
    """Show nothing."""


class Operator:
    """Runs `up` with a profile's proxy and an environment, as the command does."""

    def __init__(self, scripted: ScriptedDeployment) -> None:
        self.scripted = scripted
        self.secrets = ProxySecrets()

    def spec(self, environment: dict[str, str], **proxy: Any) -> DeploymentSpec:
        profile = Profile.model_validate({"engine": {"kind": "embedded"}, "proxy": proxy})
        self.secrets = make_secrets(profile, environment, self.scripted.runtime.store("scripted").kept_secrets())
        settings = proxy_settings(profile, self.secrets)
        limits = settings.limits.model_copy(update={"drain_s": 1})
        return self.scripted.spec.model_copy(
            update={"routes": replace(settings, limits=limits).on(self.scripted.spec.routes)}
        )

    def up(self, environment: dict[str, str] | None = None, *, may_replace: bool = False, **proxy: Any) -> Up:
        spec = self.spec(environment or {}, **proxy)
        return bring_up(self.scripted.runtime, spec, silent, secret_files=self.secrets.files, may_replace=may_replace)

    @property
    def folder(self) -> Path:
        return self.scripted.runtime.store("scripted").folder

    def pids(self) -> tuple[int | None, ...]:
        found = (self.scripted.process(role).identity for role in ("proxy", "engine"))
        return tuple(None if one is None else one.pid for one in found)


@pytest.fixture
def operator(scripted: ScriptedDeployment) -> Operator:
    return Operator(scripted)


def keys(*lines: str) -> dict[str, str]:
    return {"KEYS": ";".join(lines)}


WITH_KEYS: dict[str, Any] = {"keys": {"variable": "KEYS"}}


def test_a_deployment_with_keys_starts_and_its_owner_needs_none(operator: Operator) -> None:
    operator.up(keys(f"alice: {ALICE}"), **WITH_KEYS)

    url = operator.scripted.spec.url
    assert call_api(url, "/generate", body={}, timeout_s=30).status == 401
    assert call_api(url, "/generate", body={}, timeout_s=30, key=ALICE).status == 200
    own = operator.scripted.runtime.store("scripted").operator_key()
    assert call_api(url, "/status", timeout_s=30, key=own).status == 200
    # A key is in no file but the owner's own one, in a private file.
    files = [path for path in operator.folder.rglob("*") if path.is_file()]
    assert own is not None
    assert not [path for path in files if ALICE in path.read_text(encoding="utf-8")]
    assert [path.name for path in files if own in path.read_text(encoding="utf-8")] == ["operator-key"]
    assert (operator.folder / "operator-key").stat().st_mode & 0o777 == 0o600
    assert operator.folder.stat().st_mode & 0o777 == 0o700


def test_up_again_with_the_same_keys_does_nothing(operator: Operator) -> None:
    operator.up(keys(f"alice: {ALICE}"), **WITH_KEYS)
    before = operator.pids(), read_route_table(operator.folder / "routes.json").revision

    assert operator.up(keys(f"alice: {ALICE}"), **WITH_KEYS).was_running
    assert (operator.pids(), read_route_table(operator.folder / "routes.json").revision) == before


def test_other_keys_are_said_by_name_and_change_nothing_by_themselves(operator: Operator) -> None:
    operator.up(keys(f"alice: {ALICE}"), **WITH_KEYS)

    with pytest.raises(DeploymentChangedError) as caught:
        operator.up(keys(f"bob: {BOB}"), **WITH_KEYS)

    assert caught.value.evidence == ("proxy/keys: 'bob' is new", "proxy/keys: 'alice' is gone")
    assert caught.value.next_step == ("the same command with --replace applies them at once; nothing is started again")
    assert call_api(operator.scripted.spec.url, "/generate", body={}, timeout_s=30, key=ALICE).status == 200


def test_other_keys_are_applied_while_everything_runs(operator: Operator) -> None:
    operator.up(keys(f"alice: {ALICE}"), **WITH_KEYS)
    before = operator.pids()

    assert not operator.up(keys(f"bob: {BOB}"), may_replace=True, **WITH_KEYS).was_running

    url = operator.scripted.spec.url
    assert call_api(url, "/generate", body={}, timeout_s=30, key=ALICE).status == 401
    assert call_api(url, "/generate", body={}, timeout_s=30, key=BOB).status == 200
    assert operator.pids() == before
    assert operator.up(keys(f"bob: {BOB}"), **WITH_KEYS).was_running


def test_an_open_api_is_closed_and_opened_while_it_runs(operator: Operator) -> None:
    operator.up()

    operator.up(keys(f"alice: {ALICE}"), may_replace=True, **WITH_KEYS)
    assert call_api(operator.scripted.spec.url, "/generate", body={}, timeout_s=30).status == 401

    operator.up(may_replace=True)
    assert call_api(operator.scripted.spec.url, "/generate", body={}, timeout_s=30).status == 200
    assert not (operator.folder / "operator-key").exists()


def test_cache_queue_and_web_pages_are_changed_while_it_runs(operator: Operator) -> None:
    operator.up()

    with pytest.raises(DeploymentChangedError) as caught:
        operator.up(cache={"ttl_s": 60}, queue={"max_waiting": 5}, cors={"origins": ("https://a.example",)})
    assert caught.value.evidence == (
        "proxy/cache/ttl_s: 3600 -> 60",
        "proxy/cors/origins: (not set) -> https://a.example",
        "proxy/queue/max_waiting: 1024 -> 5",
    )

    operator.up(
        may_replace=True, cache={"ttl_s": 60}, queue={"max_waiting": 5}, cors={"origins": ("https://a.example",)}
    )
    table = read_route_table(operator.folder / "routes.json")
    assert (table.cache.ttl_s, table.limits.max_waiting, table.cors.origins) == (60, 5, ("https://a.example",))
    assert [one.state for one in table.upstreams] == ["running"]


def test_the_address_of_redis_lies_in_a_private_file_and_the_old_one_goes(operator: Operator) -> None:
    redis: dict[str, Any] = {"cache": {"store": "redis", "redis_url_variable": "REDIS"}}
    operator.up({"REDIS": URL}, **redis)
    (first,) = operator.folder.glob("redis-url-*")

    operator.up({"REDIS": f"{URL}/1"}, may_replace=True, **redis)

    (second,) = operator.folder.glob("redis-url-*")
    assert first != second
    assert second.read_text(encoding="utf-8") == f"{URL}/1"
    assert second.stat().st_mode & 0o777 == 0o600
    assert read_route_table(operator.folder / "routes.json").cache.redis_url_file == second.name


def test_what_needs_a_start_is_not_changed_with_it(operator: Operator) -> None:
    operator.up()
    spec = operator.spec({}, queue={"max_waiting": 5}).model_copy(update={"settings": {"proxy/port": "2"}})

    with pytest.raises(DeploymentChangedError) as caught:
        bring_up(operator.scripted.runtime, spec, silent, may_replace=True)

    assert caught.value.evidence == ("proxy/port: 1 -> 2", "proxy/queue/max_waiting: 1024 -> 5")
    assert caught.value.next_step == "scout-deploy down scripted, then up again"


def test_settings_outlive_a_crash_of_the_engine(operator: Operator) -> None:
    operator.up()
    operator.up(keys(f"alice: {ALICE}"), may_replace=True, **WITH_KEYS)
    restarts = operator.scripted.process("engine").restarts

    operator.scripted.kill("engine")
    operator.scripted.wait_until(lambda _: operator.scripted.process("engine").restarts > restarts)
    operator.scripted.wait_ready()

    table = read_route_table(operator.folder / "routes.json")
    assert KeyRing(table.keys).identify(f"Bearer {ALICE}".encode()) == "alice"
