"""Whether requests can wait for engines that are exchanged, said before any has to."""

from scout_deploy.errors import DeployError


def check_hold(estimate_s: float | None, max_hold_s: float, deadline_s: float, *, gate_s: float = 0.0) -> None:
    """Refuse to let requests wait for engines that come too late for them, as their last start here tells.

    Args:
        gate_s: Seconds that measuring them takes at least, after which the way back has to fit in as well.

    Raises:
        DeployError: It would lose requests that were accepted; nothing was changed.
    """
    waits = {"update/max_hold_s": max_hold_s, "proxy/limits/deadline_s": deadline_s}
    key = min(waits, key=lambda one: waits[one])
    if estimate_s is None:
        return
    if estimate_s >= waits[key]:
        raise DeployError(
            f"requests would wait for the new engines longer than {key} ({waits[key]:g} s) lets them: the last such "
            f"start took {estimate_s:.0f} s here",
            next_step=f"--set {key.replace('/', '.')}={2 * estimate_s:.0f}, or free GPUs for --set "
            "update.mode=blue-green",
        )
    # The engines that have to come back should the new ones miss the service level take as long as these.
    if gate_s and (needed_s := 2 * estimate_s + gate_s) >= waits[key]:
        raise DeployError(
            f"requests would wait longer than {key} ({waits[key]:g} s) lets them, should the new engines not pass the "
            f"gate: their start, the gate and the way back take {needed_s:.0f} s, as the last such start here tells",
            next_step=f"--set {key.replace('/', '.')}={2 * needed_s:.0f}, or free GPUs for --set "
            "update.mode=blue-green",
        )
