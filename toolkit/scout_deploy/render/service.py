"""One container's specification as a Compose service. Pure.

It makes the same container as `runtimes.docker_payload` does. Every key is known to docker-compose 1.29 and to Compose
v2; sources: the schema `compose_spec.json` of docker-compose 1.29.2, and https://github.com/compose-spec/compose-spec.
"""

from collections.abc import Mapping, Sequence

from scout_deploy.containers.spec import ContainerSpec, GpuDevices, HealthCheck, Mount, PublishedPort

Value = str | int | bool | Sequence["Value"] | Mapping[str, "Value"]
Section = dict[str, Value]


def service(spec: ContainerSpec, *, network: str) -> Section:
    """Return the service of a container.

    Args:
        network: The document's name of the network that it is on, under its own name.
    """
    section: Section = {"container_name": spec.name, "image": spec.image}
    if spec.entrypoint is not None:
        section["entrypoint"] = spec.entrypoint
    if spec.command:
        section["command"] = spec.command
    if spec.environment:
        section["environment"] = dict(sorted(spec.environment.items()))
    if spec.mounts:
        section["volumes"] = [_volume(mount) for mount in spec.mounts]
    if spec.ports:
        section["ports"] = [_port(port) for port in spec.ports]
    section["networks"] = {network: {"aliases": [spec.name]}}
    return section | _hardware(spec) | _rights(spec) | _life(spec) | {"labels": dict(spec.labels)}


def _hardware(spec: ContainerSpec) -> Section:
    section: Section = {}
    if spec.gpus is not None and (devices := _reservation(spec.gpus)) is not None:
        section["deploy"] = {"resources": {"reservations": {"devices": [devices]}}}
    if spec.devices:
        section["devices"] = [f"{path}:{path}:rwm" for path in spec.devices]
    section["ipc"] = spec.ipc
    if spec.shm_size_bytes is not None and spec.ipc == "private":
        section["shm_size"] = spec.shm_size_bytes
    if spec.ulimits:
        section["ulimits"] = {name: {"soft": value, "hard": value} for name, value in sorted(spec.ulimits.items())}
    return section


def _reservation(gpus: GpuDevices) -> Section | None:
    if gpus.access == "device-request":
        return {"driver": gpus.vendor, "device_ids": gpus.ids, "capabilities": ["gpu", "compute", "utility"]}
    if gpus.access == "cdi":
        # Compose's reference requires capabilities of every device; Docker passes over them where the driver is `cdi`.
        return {"driver": "cdi", "device_ids": gpus.cdi_names, "capabilities": ["gpu"]}
    return None


def _rights(spec: ContainerSpec) -> Section:
    section: Section = {}
    if spec.user is not None:
        section["user"] = spec.user
    if spec.groups:
        section["group_add"] = spec.groups
    section["read_only"] = spec.read_only
    lists = {"cap_drop": spec.cap_drop, "cap_add": spec.cap_add, "security_opt": spec.security_options}
    return section | {key: values for key, values in lists.items() if values}


def _life(spec: ContainerSpec) -> Section:
    section: Section = {
        "restart": spec.restart,
        "stop_grace_period": f"{spec.stop_timeout_s}s",
        "stop_signal": spec.stop_signal,
        "logging": {
            "driver": "json-file",
            "options": {"max-size": str(spec.logs.max_bytes), "max-file": str(spec.logs.files)},
        },
    }
    if spec.health is not None:
        section["healthcheck"] = _health(spec.health)
    return section


def _health(check: HealthCheck) -> Section:
    return {
        "test": ["CMD", *check.argv],
        "interval": _duration(check.interval_s),
        "timeout": _duration(check.timeout_s),
        "start_period": _duration(check.start_period_s),
        "retries": check.retries,
    }


def _duration(seconds: float) -> str:
    return f"{int(seconds)}s" if seconds == int(seconds) else f"{round(seconds * 1000)}ms"


def _volume(mount: Mount) -> Section:
    section: Section = {"type": mount.kind, "target": mount.target}
    if mount.kind != "tmpfs":
        return {"type": mount.kind, "source": mount.source, "target": mount.target, "read_only": mount.read_only}
    if mount.size_bytes is not None:
        section["tmpfs"] = {"size": mount.size_bytes}
    return section


def _port(port: PublishedPort) -> str:
    # As text, because docker-compose 1.29 knows no `host_ip`.
    host = f"[{port.host}]" if ":" in port.host else port.host
    return f"{host}:{port.port}:{port.container_port}"
