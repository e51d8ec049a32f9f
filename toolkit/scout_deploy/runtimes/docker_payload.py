"""A container's specification in the words of the Docker Engine API's `POST /containers/create`. Pure.

Source: the Docker Engine API reference, version 1.41; `cdi` as a device driver is of version 1.44.
"""

from scout_deploy.containers.spec import ContainerSpec, GpuDevices, HealthCheck, Mount

_NANOSECONDS = 1_000_000_000

Payload = dict[str, object]


def create_payload(spec: ContainerSpec, network: str | None) -> Payload:
    """Return the body that creates this container.

    Args:
        network: The network it is to be on, under its own name; None for Docker's default.
    """
    payload: Payload = {
        "Image": spec.image,
        "Env": [f"{name}={value}" for name, value in sorted(spec.environment.items())],
        "Labels": dict(spec.labels),
        "StopSignal": spec.stop_signal,
        "StopTimeout": spec.stop_timeout_s,
        "HostConfig": _host_config(spec),
    }
    if spec.entrypoint is not None:
        payload["Entrypoint"] = list(spec.entrypoint)
    if spec.command:
        payload["Cmd"] = list(spec.command)
    if spec.user is not None:
        payload["User"] = spec.user
    if spec.health is not None:
        payload["Healthcheck"] = _health(spec.health)
    if spec.ports:
        payload["ExposedPorts"] = {f"{port.container_port}/tcp": {} for port in spec.ports}
    if network is not None:
        payload["NetworkingConfig"] = {"EndpointsConfig": {network: {"Aliases": [spec.name]}}}
    return payload


def _host_config(spec: ContainerSpec) -> Payload:
    config: Payload = {
        "Mounts": [_mount(mount) for mount in spec.mounts],
        "PortBindings": {
            f"{port.container_port}/tcp": [{"HostIp": port.host, "HostPort": str(port.port)}] for port in spec.ports
        },
        "RestartPolicy": {"Name": spec.restart},
        "CapDrop": list(spec.cap_drop),
        "CapAdd": list(spec.cap_add),
        "SecurityOpt": list(spec.security_options),
        "ReadonlyRootfs": spec.read_only,
        "IpcMode": spec.ipc,
        "LogConfig": {
            "Type": "json-file",
            "Config": {"max-size": str(spec.logs.max_bytes), "max-file": str(spec.logs.files)},
        },
        "Ulimits": [{"Name": name, "Soft": value, "Hard": value} for name, value in sorted(spec.ulimits.items())],
        "GroupAdd": list(spec.groups),
    }
    if spec.shm_size_bytes is not None and spec.ipc == "private":
        config["ShmSize"] = spec.shm_size_bytes
    if spec.devices:
        config["Devices"] = [
            {"PathOnHost": path, "PathInContainer": path, "CgroupPermissions": "rwm"} for path in spec.devices
        ]
    if spec.gpus is not None and (request := _device_request(spec.gpus)) is not None:
        config["DeviceRequests"] = [request]
    return config


def _device_request(gpus: GpuDevices) -> Payload | None:
    if gpus.access == "device-request":
        return {"Driver": gpus.vendor, "DeviceIDs": list(gpus.ids), "Capabilities": [["gpu", "compute", "utility"]]}
    if gpus.access == "cdi":
        return {"Driver": "cdi", "DeviceIDs": list(gpus.cdi_names)}
    return None


def _mount(mount: Mount) -> Payload:
    payload: Payload = {"Type": mount.kind, "Target": mount.target, "ReadOnly": mount.read_only}
    if mount.kind != "tmpfs":
        payload["Source"] = mount.source
    elif mount.size_bytes is not None:
        payload["TmpfsOptions"] = {"SizeBytes": mount.size_bytes}
    return payload


def _health(check: HealthCheck) -> Payload:
    return {
        "Test": ["CMD", *check.argv],
        "Interval": int(check.interval_s * _NANOSECONDS),
        "Timeout": int(check.timeout_s * _NANOSECONDS),
        "StartPeriod": int(check.start_period_s * _NANOSECONDS),
        "Retries": check.retries,
    }
