"""The part of a route table that a running proxy takes over without being started again. Pure.

It is what `up --replace` changes by writing the table alone. What runs of it is what the table says: labels cannot be
changed on a container that runs, so that nothing but the table is asked.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from scout_deploy.api_keys.named_key import OPERATOR
from scout_deploy.deployment import differences
from scout_deploy.profile.profile import Profile
from scout_deploy.proxy_secrets import ProxySecrets
from scout_proxy.route_table import ApiKey, Cache, Cors, Keys, Limits, RouteTable

# An engine's own limit follows the one, how long Docker waits for a container that stops the other.
_STARTED_WITH = ("max_body_bytes", "drain_s")
_LIVE_SECTIONS = ("proxy/cache/", "proxy/queue/", "proxy/keys/", "proxy/cors/")
_SERVICE_LEVEL = "service_level/"
_LIVE_LIMITS = tuple(
    f"proxy/limits/{name}" for name in Limits.model_fields if name not in (*_STARTED_WITH, "max_waiting")
)


@dataclass(frozen=True, kw_only=True)
class ProxySettings:
    """These parts of one route table."""

    limits: Limits
    cache: Cache
    keys: Keys | None
    cors: Cors

    def on(self, table: RouteTable) -> RouteTable:
        """Return the table with these settings instead of its own."""
        return table.model_copy(
            update={"limits": self.limits, "cache": self.cache, "keys": self.keys, "cors": self.cors}
        )


def settings_of(table: RouteTable) -> ProxySettings:
    """Return the settings that a table has."""
    return ProxySettings(limits=table.limits, cache=table.cache, keys=table.keys, cors=table.cors)


def proxy_settings(profile: Profile, secrets: ProxySecrets) -> ProxySettings:
    """Return what a profile says.

    Raises:
        ValueError: The profile asks for secrets that were not read: an API must never be open by mistake.
    """
    proxy = profile.proxy
    wants_redis = proxy.cache.store == "redis" and proxy.cache.policy != "off"
    if proxy.keys.are_set is not (secrets.keys is not None) or wants_redis is not (secrets.redis_url_file is not None):
        raise ValueError("the profile's secrets were not read")
    cache = proxy.cache.model_dump(exclude={"store", "redis_url_variable"})
    return ProxySettings(
        limits=Limits.model_validate(proxy.limits.model_dump() | {"max_waiting": proxy.queue.max_waiting}),
        cache=Cache.model_validate(cache | {"redis_url_file": secrets.redis_url_file}),
        keys=secrets.keys,
        cors=Cors(origins=proxy.cors.origins),
    )


def started_settings(settings: Mapping[str, str]) -> dict[str, str]:
    """Return those of a flattened profile that something has to be started again for."""
    return {key: value for key, value in settings.items() if not _is_live(key)}


def service_level_settings(settings: Mapping[str, str]) -> dict[str, str]:
    """Return those of a flattened profile that nothing runs with: what is expected of the service."""
    return {key: value for key, value in settings.items() if key.startswith(_SERVICE_LEVEL)}


def changes(old: ProxySettings, new: ProxySettings) -> tuple[str, ...]:
    """Say what differs, one line for each, by the profile's keys; of API keys and URLs only that they do."""
    return (*differences(_flat(old), _flat(new)), *_redis_changes(old.cache, new.cache), *_key_changes(old, new))


def _is_live(key: str) -> bool:
    return key.startswith(_LIVE_SECTIONS) or key in _LIVE_LIMITS


def _flat(settings: ProxySettings) -> dict[str, str]:
    limits = settings.limits.model_dump(exclude={*_STARTED_WITH, "max_waiting"})
    cache = settings.cache.model_dump(mode="json", exclude={"redis_url_file"})
    keys = settings.keys
    return {
        **{f"proxy/limits/{name}": _text(value) for name, value in limits.items()},
        **{f"proxy/cache/{name}": _text(value) for name, value in cache.items()},
        "proxy/cache/store": "memory" if settings.cache.redis_url_file is None else "redis",
        "proxy/queue/max_waiting": str(settings.limits.max_waiting),
        "proxy/cors/origins": ", ".join(settings.cors.origins),
        "proxy/keys/open_metrics": str(keys is not None and keys.open_metrics),
        "proxy/keys/open_status": str(keys is not None and keys.open_status),
    }


def _text(value: object) -> str:
    """Write a number the same whether it was read as a whole one or not."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _redis_changes(old: Cache, new: Cache) -> Iterator[str]:
    if None not in (old.redis_url_file, new.redis_url_file) and old.redis_url_file != new.redis_url_file:
        yield "proxy/cache/redis_url_variable: it holds another URL"


def _key_changes(old: ProxySettings, new: ProxySettings) -> Iterator[str]:
    before, after = _by_name(old.keys), _by_name(new.keys)
    if bool(before) != bool(after):
        yield f"proxy/keys: {'an API key is needed' if after else 'the API is open to all'}"
    for name in sorted(after.keys() - before.keys() - {OPERATOR}):
        yield f"proxy/keys: '{name}' is new"
    for name in sorted(before.keys() - after.keys() - {OPERATOR}):
        yield f"proxy/keys: '{name}' is gone"
    for name in sorted(before.keys() & after.keys()):
        if before[name].digest != after[name].digest:
            yield f"proxy/keys: '{name}' has another key"
        for limit in ("requests_per_minute", "max_concurrent"):
            was, is_now = (getattr(one[name], limit) for one in (before, after))
            if was != is_now:
                yield f"proxy/keys: '{name}': {limit}: {_limit(was)} -> {_limit(is_now)}"


def _limit(value: float | None) -> str:
    return "none" if value is None else f"{value:g}"


def _by_name(keys: Keys | None) -> dict[str, ApiKey]:
    return {} if keys is None else {one.id: one for one in keys.keys}
