"""What the proxy must know and nobody else may: API keys, as digests, and the Redis server's URL, in a file.

Beside the route table lie, readable for the proxy and the operator alone, the URL and the key that the toolkit itself
asks the API with. Salt, key and file name are kept over `up`s, so that one that changes nothing finds nothing changed.
"""

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from scout_deploy.api_keys.key_source import read_keys
from scout_deploy.api_keys.named_key import OPERATOR, NamedKey, new_key
from scout_deploy.errors import ProfileError
from scout_deploy.loopback import is_loopback
from scout_deploy.profile.profile import Profile
from scout_proxy.cache.redis_address import parse_redis_url
from scout_proxy.route_table import ApiKey, Keys, RouteTable

OPERATOR_KEY_FILE = "operator-key"
REDIS_FILE_PREFIX = "redis-url-"
SECRET_VARIABLES = ("proxy/keys/variable", "proxy/cache/redis_url_variable")
"""Keys of a flattened profile that name variables of the operator's environment."""

_SALT_BYTES = 16
_NAME_BYTES = 4


@dataclass(frozen=True, kw_only=True)
class KeptSecrets:
    """What a deployment that is there has: its route table, and what its secret files hold.

    Args:
        files: By their names beside the route table.
    """

    table: RouteTable | None = field(default=None, repr=False)
    files: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def keys(self) -> Keys | None:
        """The keys that the proxy is told."""
        return None if self.table is None else self.table.keys

    @property
    def redis_file(self) -> str | None:
        """The file of the URL that the proxy is told."""
        return None if self.table is None else self.table.cache.redis_url_file


@dataclass(frozen=True, kw_only=True)
class ProxySecrets:
    """What a profile's secrets become in a deployment.

    Args:
        keys: For the route table.
        redis_url_file: For the route table.
        files: What lies beside it, by name.
    """

    keys: Keys | None = field(default=None, repr=False)
    redis_url_file: str | None = None
    files: Mapping[str, str] = field(default_factory=dict, repr=False)


def secret_files(table: RouteTable | None) -> tuple[str, ...]:
    """Return the files that lie beside this route table."""
    if table is None:
        return ()
    own = (OPERATOR_KEY_FILE,) if table.keys is not None else ()
    return own if table.cache.redis_url_file is None else (*own, table.cache.redis_url_file)


def make_secrets(profile: Profile, environment: Mapping[str, str], kept: KeptSecrets) -> ProxySecrets:
    """Read what the profile names, and make of it what the proxy is told.

    Args:
        environment: The operator's.
        kept: Of the deployment that is there under this name; its salt goes on.

    Raises:
        ProfileError: A key, a file or a variable is missing or not right; no message holds a secret.
    """
    keys, files = _keys(read_keys(profile.proxy.keys, environment), profile, kept)
    url = _redis_url(profile, environment)
    name = None if url is None else _redis_file(url, kept)
    if url is not None and name is not None:
        files[name] = url
    return ProxySecrets(keys=keys, redis_url_file=name, files=files)


def _keys(given: tuple[NamedKey, ...], profile: Profile, kept: KeptSecrets) -> tuple[Keys | None, dict[str, str]]:
    if not given:
        return None, {}
    salt = secrets.token_hex(_SALT_BYTES) if kept.keys is None else kept.keys.salt
    operator = kept.files.get(OPERATOR_KEY_FILE) or new_key()
    entries = (NamedKey(name=OPERATOR, key=operator), *given)
    keys = Keys(
        salt=salt,
        keys=tuple(_entry(one, salt) for one in entries),
        open_metrics=profile.proxy.keys.open_metrics,
        open_status=profile.proxy.keys.open_status,
    )
    return keys, {OPERATOR_KEY_FILE: operator}


def _entry(one: NamedKey, salt: str) -> ApiKey:
    return ApiKey(
        id=one.name,
        digest=hmac.digest(bytes.fromhex(salt), one.key.encode(), "sha256").hex(),
        requests_per_minute=one.requests_per_minute,
        max_concurrent=one.max_concurrent,
    )


def _redis_file(url: str, kept: KeptSecrets) -> str:
    """Return another name for another URL: the proxy looks at the file when its table says something new."""
    if kept.redis_file is not None and kept.files.get(kept.redis_file) == url:
        return kept.redis_file
    return REDIS_FILE_PREFIX + secrets.token_hex(_NAME_BYTES)


def _redis_url(profile: Profile, environment: Mapping[str, str]) -> str | None:
    cache = profile.proxy.cache
    if cache.redis_url_variable is None or cache.policy == "off":
        return None
    variable = cache.redis_url_variable
    url = environment.get(variable, "").strip()
    wrong = f"the environment variable {variable}, which proxy/cache/redis_url_variable names,"
    step = f"set {variable} as in redis://:PASSWORD@HOST:6379/0, or set proxy/cache/store: memory"
    if not url:
        raise ProfileError(f"{wrong} is not set, or empty", next_step=step)
    try:
        address = parse_redis_url(url)
    except ValueError as exc:
        raise ProfileError(f"{wrong} is wrong: {exc}", next_step=step) from None
    if profile.engine.kind != "embedded" and (address.path is not None or is_loopback(address.host)):
        raise ProfileError(
            f"{wrong} names this machine itself, which is another one inside the proxy's container",
            next_step=f"set {variable} to an address of the Redis server that containers reach",
        )
    return url
