"""Whether requests can wait for engines that are exchanged, said before any has to."""

from scout_deploy.errors import DeployError


def check_hold(estimate_s: float | None, max_hold_s: float, deadline_s: float) -> None:
    """Refuse to let requests wait for engines that come too late for them, as their last start here tells.

    Raises:
        DeployError: It would lose requests that were accepted; nothing was changed.
    """
    waits = {"update/max_hold_s": max_hold_s, "proxy/limits/deadline_s": deadline_s}
    key = min(waits, key=lambda one: waits[one])
    if estimate_s is not None and estimate_s >= waits[key]:
        raise DeployError(
            f"requests would wait for the new engines longer than {key} ({waits[key]:g} s) lets them: the last such "
            f"start took {estimate_s:.0f} s here",
            next_step=f"--set {key.replace('/', '.')}={2 * estimate_s:.0f}, or free GPUs for --set "
            "update.mode=blue-green",
        )
