"""What of a profile the proxy is told on its command line; all else of it is in the route table. Pure."""

from scout_deploy.profile.proxy import Log, Proxy


def proxy_options(proxy: Proxy) -> tuple[str, ...]:
    """Return the options for logs and spans. What is as by default is left out: an option fewer to read in a plan."""
    log, usual = proxy.log, Log()
    chosen = {
        "--log-format": log.format if log.format != usual.format else None,
        "--log-level": log.level if log.level != usual.level else None,
        "--access-log": log.access if log.access != usual.access else None,
        "--otlp-endpoint": proxy.tracing.endpoint,
    }
    options = tuple(part for option, value in chosen.items() if value is not None for part in (option, value))
    return (*options, "--log-prompts") if log.prompts else options
