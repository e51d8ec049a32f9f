"""Writes a wheel, as the binary distribution format says; the same content gives the same bytes everywhere.

Source: https://packaging.python.org/en/latest/specifications/binary-distribution-format/
"""

import base64
import csv
import hashlib
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass

_NAME = "scout_deploy"
# The earliest that a zip file can say.
_TIME = (1980, 1, 1, 0, 0, 0)
_UNIX = 3
_MODE = 0o100644


@dataclass(frozen=True, kw_only=True)
class Wheel:
    """A wheel.

    Args:
        name: Its file name, which states the version; installers read it.
    """

    name: str
    content: bytes


def pack_wheel(version: str, *, files: Mapping[str, bytes], metadata: Mapping[str, bytes]) -> Wheel:
    """Pack a wheel of pure Python.

    Args:
        files: By their path below site-packages.
        metadata: By their path below the `.dist-info` folder, `METADATA` among them; WHEEL and RECORD are written here.
    """
    folder = f"{_NAME}-{version}.dist-info"
    members = dict(sorted(files.items()))
    members |= {f"{folder}/{name}": content for name, content in sorted(metadata.items())}
    members[f"{folder}/WHEEL"] = _wheel_file(version)
    members[f"{folder}/RECORD"] = _record(members, f"{folder}/RECORD")
    return Wheel(name=f"{_NAME}-{version}-py3-none-any.whl", content=_zipped(members))


def _wheel_file(version: str) -> bytes:
    lines = ("Wheel-Version: 1.0", f"Generator: scout-deploy {version}", "Root-Is-Purelib: true", "Tag: py3-none-any")
    return "".join(f"{line}\n" for line in lines).encode()


def _record(members: Mapping[str, bytes], own_path: str) -> bytes:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    for path, content in members.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        rows.writerow((path, f"sha256={digest}", len(content)))
    rows.writerow((own_path, "", ""))
    return text.getvalue().encode()


def _zipped(members: Mapping[str, bytes]) -> bytes:
    archive = io.BytesIO()
    # Stored, because compressed bytes differ from one zlib to the next.
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as file:
        for path, content in members.items():
            entry = zipfile.ZipInfo(path, _TIME)
            entry.create_system, entry.external_attr = _UNIX, _MODE << 16
            file.writestr(entry, content)
    return archive.getvalue()
