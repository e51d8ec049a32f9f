"""What a profile's secrets become: digests in the table, files beside it, and nothing new where nothing is."""

from pathlib import Path
from typing import Any

import pytest

from fakes.running_proxy import route_table
from scout_deploy.errors import ProfileError
from scout_deploy.profile.profile import Profile
from scout_deploy.profile.settings import flatten_settings
from scout_deploy.proxy_secrets import KeptSecrets, ProxySecrets, make_secrets, secret_files
from scout_deploy.proxy_settings import changes, proxy_settings, settings_of, started_settings
from scout_proxy.access.key_ring import KeyRing
from scout_proxy.route_table import Cache, RouteTable

ALICE, BOB = "alice-has-a-key-0001", "bob-has-a-key-000002"
URL = "redis://:a-password@cache.example:6379/0"
ENVIRONMENT = {"KEYS": f"alice: {ALICE}; bob: {BOB} max_concurrent=2", "REDIS": URL}


def profile(kind: str = "embedded", **proxy: Any) -> Profile:
    engine = {"kind": kind, "version": "3.3.7"} if kind == "tgi" else {"kind": kind}
    more: dict[str, Any] = {"model": {"id": "a/b"}, "hardware": {"cpu_only": True}} if kind == "tgi" else {}
    return Profile.model_validate({"engine": engine, "proxy": proxy, **more})


def with_keys(**more: Any) -> Profile:
    return profile(keys={"variable": "KEYS", **more})


def with_redis(kind: str = "embedded") -> Profile:
    return profile(kind, cache={"store": "redis", "redis_url_variable": "REDIS"})


def deployed(chosen: Profile, secrets: ProxySecrets) -> RouteTable:
    return proxy_settings(chosen, secrets).on(route_table())


def kept(chosen: Profile, secrets: ProxySecrets) -> KeptSecrets:
    return KeptSecrets(table=deployed(chosen, secrets), files=secrets.files)


def test_keys_become_digests_that_the_proxy_knows_them_by() -> None:
    secrets = make_secrets(with_keys(open_metrics=True), ENVIRONMENT, KeptSecrets())

    ring = KeyRing(secrets.keys)
    assert ring.identify(f"Bearer {ALICE}".encode()) == "alice"
    assert ring.identify(f"Bearer {BOB}".encode()) == "bob"
    assert ring.identify(f"Bearer {secrets.files['operator-key']}".encode()) == "scout-deploy"
    assert secrets.keys is not None
    assert [one.max_concurrent for one in secrets.keys.keys] == [None, None, 2]
    assert secrets.keys.open_metrics
    assert ALICE not in secrets.keys.model_dump_json()


def test_two_deployments_have_nothing_in_common() -> None:
    first, second = (make_secrets(with_keys(), ENVIRONMENT, KeptSecrets()) for _ in range(2))

    assert first.keys is not None
    assert second.keys is not None
    assert first.keys.salt != second.keys.salt
    assert not {one.digest for one in first.keys.keys} & {one.digest for one in second.keys.keys}


def test_an_unchanged_up_finds_nothing_changed() -> None:
    chosen = profile(keys={"variable": "KEYS"}, cache={"store": "redis", "redis_url_variable": "REDIS", "scope": "key"})
    first = make_secrets(chosen, ENVIRONMENT, KeptSecrets())

    again = make_secrets(chosen, ENVIRONMENT, kept(chosen, first))

    assert again == first
    assert changes(proxy_settings(chosen, first), proxy_settings(chosen, again)) == ()


def test_what_differs_of_keys_is_said_by_name_alone() -> None:
    chosen = with_keys()
    first = make_secrets(chosen, ENVIRONMENT, KeptSecrets())
    other = {"KEYS": f"alice: another-key-of-alice; carol: {BOB} requests_per_minute=60"}

    second = make_secrets(chosen, other, kept(chosen, first))

    assert changes(proxy_settings(chosen, first), proxy_settings(chosen, second)) == (
        "proxy/keys: 'carol' is new",
        "proxy/keys: 'bob' is gone",
        "proxy/keys: 'alice' has another key",
    )


def test_what_differs_of_limits_is_said() -> None:
    first = make_secrets(with_keys(), ENVIRONMENT, KeptSecrets())
    chosen = with_keys(requests_per_minute=30, open_status=True)

    second = make_secrets(chosen, ENVIRONMENT, kept(with_keys(), first))

    assert changes(proxy_settings(with_keys(), first), proxy_settings(chosen, second)) == (
        "proxy/keys/open_status: False -> True",
        "proxy/keys: 'alice': requests_per_minute: none -> 30",
        "proxy/keys: 'bob': requests_per_minute: none -> 30",
    )


def test_that_an_api_becomes_open_or_closed_is_said() -> None:
    secrets = make_secrets(with_keys(), ENVIRONMENT, KeptSecrets())
    closed, opened = proxy_settings(with_keys(), secrets), proxy_settings(profile(), ProxySecrets())

    assert changes(opened, closed)[0] == "proxy/keys: an API key is needed"
    assert changes(closed, opened)[0] == "proxy/keys: the API is open to all"


def test_a_redis_url_is_in_a_file_that_the_table_names() -> None:
    secrets = make_secrets(with_redis(), ENVIRONMENT, KeptSecrets())
    table = deployed(with_redis(), secrets)

    (name,) = secret_files(table)
    assert secrets.files == {name: URL}
    assert "a-password" not in f"{table.model_dump_json()} {secrets!r}"


def test_another_redis_url_has_another_name_so_that_the_proxy_sees_it() -> None:
    first = make_secrets(with_redis(), ENVIRONMENT, KeptSecrets())

    second = make_secrets(with_redis(), {"REDIS": f"{URL}1"}, kept(with_redis(), first))

    assert changes(proxy_settings(with_redis(), first), proxy_settings(with_redis(), second)) == (
        "proxy/cache/redis_url_variable: it holds another URL",
    )


@pytest.mark.parametrize(
    "url", ["", "http://cache.example", "cache.example:6379", "redis://", "redis://[::1", "redis://:pw#1@cache.example"]
)
def test_what_is_no_redis_url_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ProfileError) as caught:
        make_secrets(with_redis(), {"REDIS": url}, KeptSecrets())

    assert caught.value.message.startswith(
        "the environment variable REDIS, which proxy/cache/redis_url_variable names,"
    )
    assert "as in redis://:PASSWORD@HOST:6379/0" in str(caught.value.next_step)
    assert "cache.example" not in caught.value.message


@pytest.mark.parametrize("url", ["redis://localhost", "redis://:pw@127.0.0.1:6379", "redis://[::1]", "unix:///r.sock"])
def test_this_machine_is_another_one_inside_a_container(url: str) -> None:
    with pytest.raises(ProfileError, match="which is another one inside the proxy's container"):
        make_secrets(with_redis("tgi"), {"REDIS": url}, KeptSecrets())

    assert make_secrets(with_redis(), {"REDIS": url}, KeptSecrets()).redis_url_file


def test_a_cache_that_is_off_needs_no_redis() -> None:
    chosen = profile(cache={"policy": "off", "store": "redis", "redis_url_variable": "REDIS"})

    assert make_secrets(chosen, {}, KeptSecrets()) == ProxySecrets()
    assert proxy_settings(chosen, ProxySecrets()).cache.redis_url_file is None


def test_only_what_the_proxy_takes_over_as_it_runs_needs_no_start() -> None:
    settings = flatten_settings(profile(), "1")

    live = settings.keys() - started_settings(settings).keys()
    assert {"proxy/limits/max_body_bytes", "proxy/limits/drain_s", "proxy/port", "api/name"}.isdisjoint(live)
    assert {"proxy/limits/deadline_s", "proxy/queue/max_waiting", "proxy/cache/ttl_s", "proxy/cors/origins"} <= live


def test_a_change_names_the_profiles_keys_and_no_number_twice() -> None:
    before = settings_of(route_table(cache=Cache()))
    after = proxy_settings(
        profile(
            cache={"ttl_s": 60.0},
            queue={"max_waiting": 3},
            cors={"origins": ("https://a.example", "*")},
            limits={"deadline_s": 9, "max_body_bytes": 5},
        ),
        ProxySecrets(),
    )

    assert changes(before, before) == ()
    assert changes(before, after) == (
        "proxy/cache/ttl_s: 3600 -> 60",
        "proxy/cors/origins: (not set) -> https://a.example, *",
        "proxy/limits/deadline_s: 600 -> 9",
        "proxy/queue/max_waiting: 1024 -> 3",
    )


def test_relative_key_files_start_at_their_profile(tmp_path: Path) -> None:
    # Read by the loader; here only that a path is read as it is.
    path = tmp_path / "keys"
    path.write_text(f"alice: {ALICE}\n", encoding="utf-8")
    path.chmod(0o600)

    secrets = make_secrets(profile(keys={"file": str(path)}), {}, KeptSecrets())

    assert KeyRing(secrets.keys).identify(f"Bearer {ALICE}".encode()) == "alice"
