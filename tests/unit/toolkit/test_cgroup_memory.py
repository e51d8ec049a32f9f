"""A container's limit of memory, of both versions of control groups, as the kernel's files say it."""

from collections.abc import Mapping
from pathlib import Path

from scout_deploy.cgroup_memory import memory_left

MIB = 2**20


def machine(root: Path, groups: str, files: Mapping[str, object]) -> Path:
    for name, content in {"proc/self/cgroup": groups, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n", encoding="utf-8")
    return root


def group(folder: str, limit: object, used: int, inactive: int = 0) -> dict[str, object]:
    statistics = f"anon {used - inactive}\ninactive_file {inactive}\nactive_file 0"
    return {f"{folder}/memory.max": limit, f"{folder}/memory.current": used, f"{folder}/memory.stat": statistics}


def test_a_container_has_what_its_limit_leaves(tmp_path: Path) -> None:
    files = group("sys/fs/cgroup", 512 * MIB, 200 * MIB, 50 * MIB)

    assert memory_left(machine(tmp_path, "0::/", files)) == 362 * MIB


def test_of_groups_in_each_other_the_tightest_counts(tmp_path: Path) -> None:
    """As of a service with systemd's MemoryMax, inside a slice with one of its own."""
    files = {
        **group("sys/fs/cgroup/app.slice", 300 * MIB, 280 * MIB),
        **group("sys/fs/cgroup/app.slice/scout.service", 512 * MIB, 100 * MIB),
    }

    assert memory_left(machine(tmp_path, "0::/app.slice/scout.service", files)) == 20 * MIB


def test_the_first_version_is_read_too_also_under_the_hosts_path(tmp_path: Path) -> None:
    folder = "sys/fs/cgroup/memory"
    files = {
        f"{folder}/memory.limit_in_bytes": 512 * MIB,
        f"{folder}/memory.usage_in_bytes": 600 * MIB,
        f"{folder}/memory.stat": f"cache 1\ntotal_inactive_file {MIB}",
    }

    assert memory_left(machine(tmp_path, "5:cpu:/docker/abc\n4:memory:/docker/abc", files)) == 0


def test_without_a_limit_nothing_is_said(tmp_path: Path) -> None:
    assert memory_left(tmp_path) is None
    assert memory_left(machine(tmp_path, "0::/user.slice", group("sys/fs/cgroup/user.slice", "max", MIB))) is None
