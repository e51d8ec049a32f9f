"""The drivers' tools as programs of a folder, which answer as they did on users' machines."""

import stat
import sys
from collections.abc import Sequence
from pathlib import Path

H100, H100_MIB = "NVIDIA H100 80GB HBM3", 81_559

# Its answers lie beside it, wherever the folder is copied to; small images have a shell and no other programs.
_NVIDIA_SMI = """\
#!/bin/sh
say() {
    while IFS= read -r line; do echo "$line"; done < "${0%/*}/$1"
}
case "$*" in
*--query-gpu*) say query.csv ;;
-L) say list.txt ;;
*) echo "| NVIDIA-SMI 580.159.04    Driver Version: 580.159.04    CUDA Version: 13.0 |" ;;
esac
"""
_REST_OF_UUID = "f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"


def write_nvidia_smi(folder: Path, used_mib: Sequence[int], *, name: str = H100, total_mib: int = H100_MIB) -> Path:
    """Make a folder for PATH with an `nvidia-smi` of so many GPUs, and return it.

    NVIDIA's hook for containers is there too, and does nothing.

    Args:
        used_mib: What is in use of each.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        f"{index}, GPU-{index}{_REST_OF_UUID}, {name}, {total_mib}, {used}, 580.159.04, Disabled, 9.0\n"
        for index, used in enumerate(used_mib)
    ]
    listed = [f"GPU {index}: {name} (UUID: GPU-{index}{_REST_OF_UUID})\n" for index in range(len(used_mib))]
    (folder / "query.csv").write_text("".join(rows), encoding="utf-8")
    (folder / "list.txt").write_text("".join(listed), encoding="utf-8")
    _write_program(folder / "nvidia-smi", _NVIDIA_SMI)
    _write_program(folder / "nvidia-container-runtime-hook", "#!/bin/sh\n")
    return folder


# runc, but for limits that a machine whose own root may not raise them would refuse.
_RUNTIME = """\
#!{python}
import json, os, sys
words = sys.argv[1:]
for option, name in (("--bundle", "/config.json"), ("--process", "")):
    if option in words:
        path = words[words.index(option) + 1] + name
        with open(path) as file:
            document = json.load(file)
        document.get("process", document).pop("rlimits", None)
        with open(path, "w") as file:
            json.dump(document, file)
os.execvp("runc", ["runc", *words])
"""


def write_runtime(folder: Path) -> Path:
    """Write an OCI runtime that raises no limits, and return it."""
    path = folder / "runc-without-limits"
    _write_program(path, _RUNTIME.format(python=sys.executable))
    return path


def _write_program(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
