"""A user unit for systemd that runs a deployment of local processes. Pure.

Source: systemd.service(5), systemd.exec(5) and systemd.kill(5) of systemd 252.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

# Beside what the profile allows the engine: Python's start, the first generation, and the port's release.
_START_MARGIN_S = 180
# `down` waits this much longer than the drain before it ends the supervisor by force, and some more for orphans.
_STOP_MARGIN_S = 90
# Of those that a user's manager can apply without a namespace, what Python and llama.cpp live with.
_HARDENING = (
    "NoNewPrivileges=yes",
    "LockPersonality=yes",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK",
    "SystemCallArchitectures=native",
    "UMask=0077",
)

_PLAIN = re.compile(r"[A-Za-z0-9_./=:,@%+$-]+")


@dataclass(frozen=True, kw_only=True)
class UnitRequest:
    """What a unit is made of.

    Args:
        command: How this installation is called, with absolute paths.
        overrides: What was given with `--set`; a path in them is absolute.
        environment: What decides where profiles and state lie, where the user's shell sets it. Never a secret.
        variables: Names of the variables that the profile refers to; their values may be secrets.
        variables_file: Where the unit reads their values.
        start_timeout_s: What the profile allows the engine.
        drain_s: What requests in flight get to finish.
        version: The product's.
    """

    deployment: str
    profile: str
    command: tuple[str, ...]
    overrides: tuple[str, ...] = ()
    environment: Mapping[str, str]
    variables: tuple[str, ...] = ()
    variables_file: Path
    start_timeout_s: float
    drain_s: float
    version: str


def unit_name(deployment: str) -> str:
    """Return the name of the unit's file."""
    return f"scout-deploy-{deployment}.service"


def systemd_unit(request: UnitRequest) -> str:
    """Return the unit's file.

    `up` returns once the deployment generated, and its processes go on under a supervisor of their own, which starts
    again what dies: hence `oneshot` with `RemainAfterExit`, where the unit is active until `down`. They stay in the
    unit's control group, so that whatever `down` should leave is ended by systemd.
    """
    return "\n".join((*_head(request), "", *_sections(request), ""))


def _head(request: UnitRequest) -> Iterator[str]:
    name = unit_name(request.deployment)
    yield f"# {name}: written by scout-deploy {request.version}. To install it:"
    yield "#   put it into ~/.config/systemd/user under this name"
    yield f"#   systemctl --user daemon-reload && systemctl --user enable --now {name}"
    yield "#   loginctl enable-linger      so that it starts with the machine, and stays when you log out"
    if request.variables:
        yield "#"
        yield f"# The profile refers to {', '.join(request.variables)}. Their values are read from the file that"
        yield "# EnvironmentFile= names, one NAME=value on each line; make it readable for you alone (chmod 600)."


def _sections(request: UnitRequest) -> Iterator[str]:
    up = ("up", "--profile", request.profile, "--name", request.deployment)
    overrides = (part for one in request.overrides for part in ("--set", one))
    yield "[Unit]"
    yield f"Description=scout-deploy, deployment {request.deployment}"
    yield ""
    yield "[Service]"
    yield "# `up` ends once the deployment has generated; its processes go on under a supervisor that restarts them."
    yield "Type=oneshot"
    yield "RemainAfterExit=yes"
    yield f"ExecStart={_command(request.command, *up, *overrides)}"
    yield "# Finishes the requests in flight; one that was taken down by hand is no failure."
    yield f"ExecStop=-{_command(request.command, 'down', request.deployment)}"
    yield f"TimeoutStartSec={math.ceil(request.start_timeout_s) + _START_MARGIN_S}"
    yield f"TimeoutStopSec={math.ceil(request.drain_s) + _STOP_MARGIN_S}"
    yield "# What `down` should leave, systemd ends. An engine that the kernel ended, the supervisor starts again."
    yield "KillMode=control-group"
    yield "OOMPolicy=continue"
    for variable, value in sorted(request.environment.items()):
        yield f"Environment={_quoted(f'{variable}={value}')}"
    if request.variables:
        yield f"EnvironmentFile={_specifiers(str(request.variables_file))}"
    yield from _HARDENING
    yield ""
    yield "[Install]"
    yield "WantedBy=default.target"


def _command(command: tuple[str, ...], *arguments: str) -> str:
    # In the program's own path, systemd puts no variables.
    program, *options = (*command, *arguments)
    return " ".join((_quoted(program), *(_quoted(one.replace("$", "$$")) for one in options)))


def _quoted(text: str) -> str:
    plain = _specifiers(text)
    if _PLAIN.fullmatch(plain):
        return plain
    escaped = plain.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'


def _specifiers(text: str) -> str:
    return text.replace("%", "%%")
