"""Whether the client of Redis servers is installed, for a proxy that runs here. The proxy's image has it."""

from importlib.util import find_spec

from scout_deploy.errors import ExtraMissingError
from scout_deploy.proxy_secrets import ProxySecrets


def require_redis_client(secrets: ProxySecrets) -> None:
    """Check that it is installed where the proxy keeps its cache in Redis, without loading it.

    Raises:
        ExtraMissingError: It is not.
    """
    if secrets.redis_url_file is not None and find_spec("redis") is None:
        raise ExtraMissingError(
            "the client of Redis servers is not installed (the package redis is missing)",
            next_step="pip install 'scout-deploy[redis]', or set proxy/cache/store: memory",
        )
