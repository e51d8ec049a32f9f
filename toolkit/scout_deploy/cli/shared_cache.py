"""What `scout-deploy status` says of the Redis that several proxies share, while it is in trouble."""

from typing import Any

from scout_deploy.cli.output import Output


def show_trouble(output: Output, answer: dict[str, Any] | None) -> None:
    """Print one line where the proxy says that its shared cache fails; nothing where it works, or there is none.

    Args:
        answer: What the proxy answers on /status; None where it does not.
    """
    shared = (answer or {}).get("shared_cache")
    if not shared or shared.get("state") == "ok":
        return
    state = str(shared.get("state")).replace("_", " ")
    reason = f": {shared['reason']}" if shared.get("reason") else ""
    output.line(f"  cache     the shared Redis is {state}{reason}", style="yellow")
