"""Which addresses are this machine's own. Pure."""

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Tell whether what listens there is reached from the same machine alone, or container."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
