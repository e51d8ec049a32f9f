"""What an earlier `render` wrote of secrets, so that writing it again changes nothing that the profile does not."""

from pathlib import Path

from scout_deploy.containers.deployment import ROUTES_FILE
from scout_deploy.proxy_secrets import KeptSecrets, secret_files
from scout_proxy.route_table import RouteTableError, read_route_table


def rendered_secrets(folder: Path) -> KeptSecrets:
    """Return what lies in a folder with a route table; nothing where it is not there, or of another version."""
    try:
        table = read_route_table(folder / ROUTES_FILE)
        files = {name: (folder / name).read_text(encoding="utf-8") for name in secret_files(table)}
    except (RouteTableError, OSError, ValueError):
        return KeptSecrets()
    return KeptSecrets(table=table, files=files)
