"""Checks of the Docker daemon. Pure."""

from collections.abc import Iterator

from scout_deploy.doctor.facts import DaemonMissed, DaemonSeen
from scout_deploy.doctor.outcome import EngineKind, Outcome
from scout_deploy.gpus.access import is_podman

# Docker 20.10, the oldest that this product is tested with.
_OLDEST_API = (1, 41)

# Certificates and signed addresses are valid for minutes at the least; a clock that is off by this much is not set.
_CLOCK_DOUBTFUL_S = 60.0
_CLOCK_BAD_S = 600.0

_TGI: tuple[EngineKind, ...] = ("tgi",)


def docker_checks(daemon: DaemonSeen | DaemonMissed) -> Iterator[Outcome]:
    """Look at the daemon, its version and its clock."""
    if isinstance(daemon, DaemonMissed):
        yield Outcome(check="docker", state="bad", fact=daemon.reason, fix=daemon.next_step, concerns=_TGI)
        return
    yield _daemon(daemon)
    yield _version(daemon)
    if daemon.clock_ahead_s is not None:
        yield _clock(daemon.clock_ahead_s)


def _daemon(daemon: DaemonSeen) -> Outcome:
    host = daemon.host
    manner = (["rootless"] if host.is_rootless else []) + ([] if host.is_local else ["on another machine"])
    fact = f"answers at {host.address}" + (f" ({', '.join(manner)})" if manner else "")
    if host.os != "linux":
        return Outcome(
            check="docker",
            state="bad",
            fact=f"{fact}, and runs containers of {host.os}",
            fix="switch it to Linux containers",
            concerns=_TGI,
        )
    if is_podman(host):
        return Outcome(
            check="docker",
            state="doubtful",
            fact=f"{fact}; it is Podman, which ignores Docker's requests for GPUs",
            fix="install Docker, or point DOCKER_HOST at a Docker daemon",
            concerns=_TGI,
        )
    return Outcome(check="docker", state="good", fact=fact, concerns=_TGI)


def _version(daemon: DaemonSeen) -> Outcome:
    host = daemon.host
    fact = f"{host.server_version}, API {host.api_version}, {host.architecture}"
    api = tuple(int(part) for part in host.api_version.split(".") if part.isdigit())
    if api < _OLDEST_API:
        oldest = ".".join(map(str, _OLDEST_API))
        return Outcome(
            check="docker version",
            state="bad",
            fact=f"{fact}; at least API {oldest} is needed",
            fix="install Docker 20.10 or newer",
            concerns=_TGI,
        )
    if host.architecture not in {"x86_64", "amd64"}:
        return Outcome(
            check="docker version",
            state="bad",
            fact=f"{fact}; TGI's images are for x86_64 alone",
            fix="use a machine with an x86_64 processor",
            concerns=_TGI,
        )
    return Outcome(check="docker version", state="good", fact=fact, concerns=_TGI)


def _clock(ahead_s: float) -> Outcome:
    off_s = abs(ahead_s)
    if off_s < _CLOCK_DOUBTFUL_S:
        return Outcome(check="clock", state="good", fact="Docker's clock agrees with this machine's", concerns=_TGI)
    return Outcome(
        check="clock",
        state="bad" if off_s >= _CLOCK_BAD_S else "doubtful",
        fact=f"Docker's clock is {off_s:.0f} s {'ahead of' if ahead_s > 0 else 'behind'} this machine's; certificates "
        "fail where a clock is wrong",
        fix="set the clock that is wrong: timedatectl set-ntp true",
        concerns=_TGI,
    )
