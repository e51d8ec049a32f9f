"""The systemd unit of a deployment of local processes, as text and as systemd reads it."""

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from scout_deploy.render.systemd import UnitRequest, systemd_unit, unit_name

REQUEST = UnitRequest(
    deployment="mine",
    profile="embedded",
    command=("/opt/venv/bin/scout-deploy",),
    environment={},
    variables_file=Path("/home/me/.config/scout-deploy/mine.env"),
    start_timeout_s=59.5,
    drain_s=20,
    version="9.9.9",
)


def lines(request: UnitRequest) -> list[str]:
    return [line for line in systemd_unit(request).splitlines() if line and not line.startswith("#")]


def values(request: UnitRequest, key: str) -> list[str]:
    return [line.partition("=")[2] for line in lines(request) if line.startswith(f"{key}=")]


def test_the_whole_unit() -> None:
    assert lines(replace(REQUEST, overrides=("proxy.port=2026",), environment={"XDG_STATE_HOME": "/data/state"})) == [
        "[Unit]",
        "Description=scout-deploy, deployment mine",
        "[Service]",
        "Type=oneshot",
        "RemainAfterExit=yes",
        "ExecStart=/opt/venv/bin/scout-deploy up --profile embedded --name mine --set proxy.port=2026",
        "ExecStop=-/opt/venv/bin/scout-deploy down mine",
        "TimeoutStartSec=240",
        "TimeoutStopSec=110",
        "KillMode=control-group",
        "OOMPolicy=continue",
        "Environment=XDG_STATE_HOME=/data/state",
        "NoNewPrivileges=yes",
        "LockPersonality=yes",
        "RestrictNamespaces=yes",
        "RestrictRealtime=yes",
        "RestrictSUIDSGID=yes",
        "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK",
        "SystemCallArchitectures=native",
        "UMask=0077",
        "[Install]",
        "WantedBy=default.target",
    ]


def test_its_first_lines_say_how_to_install_it() -> None:
    head = systemd_unit(REQUEST).partition("[Unit]")[0]

    assert "systemctl --user enable --now scout-deploy-mine.service" in head
    assert "loginctl enable-linger" in head


def test_nothing_in_an_argument_has_a_meaning_for_systemd() -> None:
    request = replace(REQUEST, profile='/home/me/my profiles/100% "$mine"\\x.yaml', command=("/opt/my $env/scout",))

    assert values(request, "ExecStart") == [
        '"/opt/my $env/scout" up --profile "/home/me/my profiles/100%% \\"$$mine\\"\\\\x.yaml" --name mine'
    ]


def test_a_line_break_in_an_argument_begins_no_line_of_the_unit() -> None:
    request = replace(REQUEST, overrides=("api.name=one\nExecStartPre=/bin/false",))

    assert values(request, "ExecStartPre") == []
    assert values(request, "ExecStart")[0].endswith('--set "api.name=one\\nExecStartPre=/bin/false"')


def test_values_of_variables_are_read_from_a_file_of_the_users() -> None:
    request = replace(REQUEST, variables=("MODEL_FOLDER", "PORT"))

    assert values(request, "EnvironmentFile") == ["/home/me/.config/scout-deploy/mine.env"]
    assert "# The profile refers to MODEL_FOLDER, PORT." in systemd_unit(request)


def test_without_variables_no_file_is_needed() -> None:
    assert values(REQUEST, "EnvironmentFile") == []


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="this machine has no systemd-analyze")
def test_systemd_finds_nothing_to_say_about_it(tmp_path: Path) -> None:
    request = replace(
        REQUEST,
        command=("/bin/true",),
        profile="/home/me/my profiles/100% $mine.yaml",
        variables=("PORT",),
        environment={"XDG_STATE_HOME": "/data/my state"},
    )
    unit = tmp_path / unit_name("mine")
    unit.write_text(systemd_unit(request), encoding="utf-8")
    runtime = tmp_path / "run"
    runtime.mkdir()

    result = subprocess.run(
        ["systemd-analyze", "--user", "verify", str(unit)],
        env={**os.environ, "XDG_RUNTIME_DIR": str(runtime)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (result.returncode, result.stderr) == (0, "")
