"""The proxy's image made from an installed wheel is the one made from this checkout."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

from scout_deploy.proxy_image.context import build_context

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the content of our real wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    with zipfile.ZipFile(wheel) as file:
        file.extractall(folder / "site-packages")
    return folder / "site-packages"


def proxy_image(site_packages: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "scout_deploy.proxy_image", "--base-image", "somewhere/python:1", *arguments],
        env={"PYTHONPATH": str(site_packages), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=site_packages.parent,
        capture_output=True,
        check=False,
        timeout=60,
    )


def test_it_has_the_same_content_and_the_same_tag(installed: Path) -> None:
    here = build_context("somewhere/python:1")

    assert proxy_image(installed).stdout == here.context_tar
    assert proxy_image(installed, "--options").stdout.decode().split() == [
        f"--tag={here.tag}",
        "--build-arg=BASE_IMAGE=somewhere/python:1",
        f"--build-arg=SCOUT_VERSION={here.version}",
    ]


def test_a_damaged_installation_is_named(installed: Path) -> None:
    lock = installed / "scout_deploy" / "shipped_proxy_image" / "requirements-proxy.lock"
    kept = lock.rename(lock.with_name(".kept"))
    result = proxy_image(installed)
    kept.rename(lock)

    said = result.stderr.decode()
    assert (result.returncode, result.stdout) == (4, b"")
    assert f"{lock} cannot be read: No such file or directory" in said
    assert "next: install scout-deploy again" in said
