"""The proxy's image before anything is built: what goes into it, and what its tag follows from."""

import base64
import csv
import hashlib
import io
import re
import tarfile
import tomllib
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from scout_deploy.profile.proxy import Proxy
from scout_deploy.proxy_image.context import DEFAULT_BASE_IMAGE, ProxyImage, build_context, plan_proxy_image
from scout_deploy.proxy_image.own_files import OwnFiles
from scout_deploy.proxy_image.wheel import pack_wheel
from scout_proxy.version import __version__

ROOT = Path(__file__).parents[3]
PINNED = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>\S+)", re.MULTILINE)
OWN = OwnFiles(
    version="1.2.3",
    packages={"scout_proxy/app.py": b"app = 1\n"},
    metadata={"METADATA": b"Metadata-Version: 2.4\nName: scout-deploy\nVersion: 1.2.3\n"},
    dockerfile=b"FROM scratch\n",
    lock=b"",
)


@pytest.fixture(scope="module")
def image() -> ProxyImage:
    return build_context("somewhere/python:1")


@pytest.fixture(scope="module")
def wheel(image: ProxyImage) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(members(image)[f"wheels/scout_deploy-{__version__}-py3-none-any.whl"]))


def members(image: ProxyImage) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(image.context_tar)) as tar:
        return {entry.name: tar.extractfile(entry).read() for entry in tar}  # type: ignore[union-attr]  # all are files


def lock(name: str) -> dict[str, str]:
    return {found["name"]: found["version"] for found in PINNED.finditer((ROOT / name).read_text(encoding="utf-8"))}


def test_context_is_the_dockerfile_the_lock_and_our_wheel(image: ProxyImage) -> None:
    content = members(image)

    assert list(content) == [
        "Dockerfile",
        "requirements-proxy.lock",
        f"wheels/scout_deploy-{__version__}-py3-none-any.whl",
    ]
    assert content["Dockerfile"] == (ROOT / "infra/proxy-image/Dockerfile").read_bytes()
    assert content["requirements-proxy.lock"] == (ROOT / "requirements-proxy.lock").read_bytes()


def test_wheel_has_the_proxy_and_the_toolkit_but_no_engine(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()

    assert {"scout_proxy/__main__.py", "scout_deploy/__main__.py", "scout_proxy/py.typed"} <= set(names)
    assert "scout_deploy/shipped_profiles/embedded.yaml" in names
    assert {name.partition("/")[0] for name in names} == {
        "scout_proxy",
        "scout_deploy",
        f"scout_deploy-{__version__}.dist-info",
    }


def test_wheel_has_no_bytecode_and_no_model(wheel: zipfile.ZipFile) -> None:
    assert [name for name in wheel.namelist() if name.endswith((".pyc", ".gguf")) or "__pycache__" in name] == []


def test_wheels_record_names_every_file_with_its_hash(wheel: zipfile.ZipFile) -> None:
    own_path = f"scout_deploy-{__version__}.dist-info/RECORD"
    rows = list(csv.reader(io.StringIO(wheel.read(own_path).decode())))

    assert [row[0] for row in rows] == wheel.namelist()
    assert rows[-1] == [own_path, "", ""]
    for path, digest, size in rows[:-1]:
        expected = base64.urlsafe_b64encode(hashlib.sha256(wheel.read(path)).digest()).decode().rstrip("=")
        assert (digest, int(size)) == (f"sha256={expected}", len(wheel.read(path)))


def test_wheels_metadata_is_that_of_the_code_without_the_long_description(wheel: zipfile.ZipFile) -> None:
    metadata = wheel.read(f"scout_deploy-{__version__}.dist-info/METADATA").decode()

    assert metadata.startswith("Metadata-Version: ")
    assert f"\nName: scout-deploy\nVersion: {__version__}\n" in metadata
    assert "\n\n" not in metadata


def test_a_path_with_a_comma_is_one_field_of_the_record() -> None:
    packed = pack_wheel("1", files={"scout_proxy/a,b.py": b""}, metadata={"METADATA": b""})

    with zipfile.ZipFile(io.BytesIO(packed.content)) as file:
        rows = list(csv.reader(io.StringIO(file.read("scout_deploy-1.dist-info/RECORD").decode())))
    assert rows[0][0] == "scout_proxy/a,b.py"


def test_same_content_gives_the_same_bytes_and_tag() -> None:
    turned = replace(OWN, packages=dict(reversed([*OWN.packages.items(), ("scout_proxy/z.py", b"")])))
    straight = replace(OWN, packages={**OWN.packages, "scout_proxy/z.py": b""})

    assert plan_proxy_image("python:1", turned) == plan_proxy_image("python:1", straight)


@pytest.mark.parametrize(
    ("base_image", "own"),
    [
        ("python:2", OWN),
        ("python:1", replace(OWN, dockerfile=b"FROM another\n")),
        ("python:1", replace(OWN, lock=b"requests==1\n")),
        ("python:1", replace(OWN, packages={"scout_proxy/app.py": b"app = 2\n"})),
        ("python:1", replace(OWN, packages={"scout_proxy/main.py": b"app = 1\n"})),
    ],
    ids=["base image", "Dockerfile", "lock", "code", "name of a file"],
)
def test_anything_that_changes_the_image_changes_its_tag(base_image: str, own: OwnFiles) -> None:
    assert plan_proxy_image(base_image, own).tag != plan_proxy_image("python:1", OWN).tag


def test_tag_states_the_version() -> None:
    assert re.fullmatch(r"scout-deploy/proxy:1\.2\.3-[0-9a-f]{12}", plan_proxy_image("python:1", OWN).tag)


def test_builder_is_told_the_base_image_and_the_version() -> None:
    image = plan_proxy_image("python:1", OWN)

    assert image.build_arguments == {"BASE_IMAGE": "python:1", "SCOUT_VERSION": "1.2.3"}
    # A builder warns of, and drops, an argument that the Dockerfile does not declare.
    dockerfile = (ROOT / "infra/proxy-image/Dockerfile").read_text(encoding="utf-8")
    assert set(image.build_arguments) <= set(re.findall(r"^ARG (\w+)", dockerfile, re.MULTILINE))


def test_default_base_image_is_the_same_everywhere() -> None:
    assert Proxy().base_image == DEFAULT_BASE_IMAGE
    assert f"\nARG BASE_IMAGE={DEFAULT_BASE_IMAGE}\n" in (ROOT / "infra/proxy-image/Dockerfile").read_text()
    assert f"\nBASE_IMAGE ?= {DEFAULT_BASE_IMAGE}\n" in (ROOT / "Makefile").read_text()


def test_lock_has_what_the_base_install_needs_and_nothing_of_the_extras() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pinned = lock("requirements-proxy.lock")

    for requirement in map(Requirement, project["dependencies"]):
        assert requirement.specifier.contains(pinned[requirement.name])
    assert {"xllamacpp", "locust"}.isdisjoint(pinned)


def test_lock_agrees_with_the_one_that_was_tested() -> None:
    proxy, installed, tested = (lock(f"requirements{kind}.lock") for kind in ("-proxy", "", "-dev"))

    # Redis and OpenTelemetry are extras elsewhere; the image has them.
    assert proxy.items() <= tested.items()
    assert {name: proxy[name] for name in proxy.keys() & installed.keys()}.items() <= installed.items()


def test_every_line_of_the_lock_has_hashes() -> None:
    parts = PINNED.split((ROOT / "requirements-proxy.lock").read_text(encoding="utf-8"))[3::3]

    assert parts
    assert all("--hash=sha256:" in part for part in parts)
