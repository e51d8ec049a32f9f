"""The drivers' tools as programs of a folder, which answer as they did on users' machines."""

import stat
from collections.abc import Sequence
from pathlib import Path

H100_TOTAL_MIB = 81_559

_NVIDIA_SMI = """\
#!/bin/sh
case "$*" in
*--query-gpu*) cat "{folder}/query.csv" ;;
-L) cat "{folder}/list.txt" ;;
*) echo "| NVIDIA-SMI 580.159.04    Driver Version: 580.159.04    CUDA Version: 13.0 |" ;;
esac
"""


def write_nvidia_smi(folder: Path, used_mib: Sequence[int], *, name: str = "NVIDIA H100 80GB HBM3") -> Path:
    """Make a folder for PATH with an `nvidia-smi` of so many GPUs, and return it.

    NVIDIA's hook for containers is there too, and does nothing.

    Args:
        used_mib: What is in use of each.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        f"{index}, GPU-{index}{_REST_OF_UUID}, {name}, {H100_TOTAL_MIB}, {used}, 580.159.04, Disabled, 9.0\n"
        for index, used in enumerate(used_mib)
    ]
    listed = [f"GPU {index}: {name} (UUID: GPU-{index}{_REST_OF_UUID})\n" for index in range(len(used_mib))]
    (folder / "query.csv").write_text("".join(rows), encoding="utf-8")
    (folder / "list.txt").write_text("".join(listed), encoding="utf-8")
    _write_program(folder / "nvidia-smi", _NVIDIA_SMI.format(folder=folder))
    _write_program(folder / "nvidia-container-runtime-hook", "#!/bin/sh\n")
    return folder


_REST_OF_UUID = "f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"


def _write_program(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
