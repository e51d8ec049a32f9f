"""What a deployment left on the Docker engine: nothing may be there after a test."""

import docker

DEPLOYMENT_LABEL = "scout.deployment"


def remove_leftovers(client: docker.DockerClient, deployment: str) -> list[str]:
    """Remove every container, network and volume with the deployment's label, and say which there were."""
    filters: dict[str, str | list[str] | bool] = {"label": f"{DEPLOYMENT_LABEL}={deployment}"}
    left: list[str] = []
    for container in client.containers.list(all=True, filters=filters, ignore_removed=True):
        left.append(f"container {container.name} ({container.status})")
        container.remove(force=True, v=True)
    for network in client.networks.list(filters=filters):
        left.append(f"network {network.name}")
        network.remove()
    for volume in client.volumes.list(filters=filters):
        left.append(f"volume {volume.name}")
        volume.remove(force=True)
    return left
