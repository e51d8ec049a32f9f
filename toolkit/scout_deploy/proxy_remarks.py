"""What the operator should know of a profile's proxy before it serves. Pure."""

from collections.abc import Iterator

from scout_deploy.loopback import is_loopback
from scout_deploy.profile.profile import Profile
from scout_deploy.profile.proxy import Proxy

_ANY = "*"


def proxy_remarks(profile: Profile) -> tuple[str, ...]:
    """Return one remark for each thing that works, and may not be meant."""
    return tuple(_remarks(profile))


def _remarks(profile: Profile) -> Iterator[str]:
    proxy = profile.proxy
    if proxy.log.prompts:
        yield "proxy/log/prompts is true: whoever reads the proxy's log reads what users wrote"
    if not proxy.keys.are_set:
        yield from _of_an_open_api(proxy)


def _of_an_open_api(proxy: Proxy) -> Iterator[str]:
    if not is_loopback(proxy.host):
        yield (
            f"proxy/host is {proxy.host} and proxy/keys is not set: whoever reaches port {proxy.port} may use the API; "
            "`scout-deploy keys new NAME --file FILE` makes a key, and proxy/keys/file names that file"
        )
    if _ANY in proxy.cors.origins:
        yield (
            "proxy/cors/origins is * and proxy/keys is not set: every web page that is opened in a browser on this "
            "machine may use the API; name the pages' origins, or set proxy/keys"
        )
