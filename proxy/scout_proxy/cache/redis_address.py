"""Where a Redis server is and how to get in, read from its URL. Pure; nothing here ever shows a secret."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

_SCHEMES = ("redis", "rediss", "unix")
_DEFAULT_PORT = 6379
_TLS_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_CHOICES = {"ssl_cert_reqs": ("required", "optional", "none"), "ssl_check_hostname": ("true", "false")}
_TLS_OPTIONS = (*_TLS_FILES, *_CHOICES)
_PERCENT_ENCODE = "percent-encode special characters of the user and the password"


@dataclass(frozen=True, kw_only=True, slots=True)
class RedisAddress:
    """A server over TCP, with or without TLS, or at a Unix socket, where `path` is set.

    Args:
        tls: The TLS options that the URL gives, as strings; None without TLS.
    """

    host: str = ""
    port: int = _DEFAULT_PORT
    path: str | None = None
    db: int = 0
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    tls: Mapping[str, str] | None = None

    @property
    def text(self) -> str:
        """The address as it may be shown."""
        return f"{self.path}" if self.path is not None else f"{self.host}:{self.port}"

    def without_secrets(self, text: str) -> str:
        """Return a server's or library's words without the password: some servers repeat what they were sent."""
        # Redis cuts what it repeats, so that the whole password would not be found in it.
        said, _, _ = text.partition(", with args")
        return said.replace(self.password, "***") if self.password else said


def parse_redis_url(url: str) -> RedisAddress:
    """Read `redis://[[user]:password@]host[:port][/db]`, `rediss://` with TLS, or `unix://[...@]/path[?db=0]`.

    Raises:
        ValueError: It is not such a URL; the message says what is wrong and repeats nothing that can be a secret.
    """
    parts, fault = _split(url.strip())
    if parts is None:
        raise ValueError(f"the Redis URL {fault}")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if problem := _problem(parts, options):
        raise ValueError(f"the Redis URL {problem}")
    database = options.pop("db", "") or (parts.path.strip("/") if parts.scheme != "unix" else "")
    return RedisAddress(
        host=unquote(parts.hostname or ""),
        port=parts.port or _DEFAULT_PORT,
        path=unquote(parts.path) if parts.scheme == "unix" else None,
        db=int(database or 0),
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        tls=options if parts.scheme == "rediss" else None,
    )


def _split(url: str) -> tuple[SplitResult | None, str]:
    """Return the parts, or what is wrong: the standard library's own message can hold a part of a password."""
    if not url.startswith(tuple(f"{scheme}://" for scheme in _SCHEMES)):
        return None, "must begin with redis://, rediss:// (TLS) or unix:// (a socket)"
    try:
        parts = urlsplit(url)
        is_valid = parts.port != 0
    except ValueError:
        is_valid = False
    if not is_valid:
        return None, f"has no port from 1 to 65535 after its host; {_PERCENT_ENCODE}"
    return parts, ""


def _problem(parts: SplitResult, options: Mapping[str, str]) -> str | None:
    is_socket = parts.scheme == "unix"
    allowed = ("db", *_TLS_OPTIONS) if parts.scheme == "rediss" else ("db",)
    if parts.fragment or options.keys() - set(allowed):
        return f"has an option other than {', '.join(allowed)}; {_PERCENT_ENCODE}"
    if is_socket and not parts.path.strip("/"):
        return "names no socket: unix:///path/of/redis.sock"
    if not is_socket and not parts.hostname:
        return f"names no host; {_PERCENT_ENCODE}"
    database = options.get("db", "" if is_socket else parts.path.strip("/"))
    if database and not (database.isascii() and database.isdecimal()):
        return f"names a database that is not a number; {_PERCENT_ENCODE}"
    for name, choices in _CHOICES.items():
        if options.get(name, choices[0]) not in choices:
            return f"has an option {name} that is none of {', '.join(choices)}"
    return None


def tls_arguments(tls: Mapping[str, str]) -> dict[str, Any]:
    """Return the options in the client's types; a certificate that is not asked for needs no right host."""
    is_checked = tls.get("ssl_check_hostname", "true") == "true" and tls.get("ssl_cert_reqs") != "none"
    return {**tls, "ssl_check_hostname": is_checked}
