"""`scout-deploy up` for a profile whose engine runs in containers."""

import os
from dataclasses import replace
from functools import partial

from scout_deploy.cli.context import container_runtime
from scout_deploy.cli.gate_checks import check_reach
from scout_deploy.cli.machine import machine_with_memory
from scout_deploy.cli.output import Output
from scout_deploy.cli.start_view import StartView
from scout_deploy.cli.weights_source import own_hub, weights_source
from scout_deploy.container_draft import Wish, draft
from scout_deploy.container_preparation import ContainerPreparation
from scout_deploy.containers.deployment import ContainerDeployment
from scout_deploy.deployment import Up
from scout_deploy.engines.catalogue import container_engine_for, planning_engine_for
from scout_deploy.fit.measured_start import MeasuredStart
from scout_deploy.fit_check import FitCheck
from scout_deploy.gpus.inventory import Inventory, read_local_inventory
from scout_deploy.image_history import ImageHistory
from scout_deploy.memory_history import memory_history
from scout_deploy.model_lookup import ModelLookup
from scout_deploy.plan_gpus import cpu_here
from scout_deploy.proxy_secrets import make_secrets
from scout_deploy.runtimes.container_runtime import ContainerRuntime
from scout_deploy.runtimes.container_up import bring_up_containers
from scout_deploy.runtimes.docker_address import address_of_environment, box_of
from scout_deploy.runtimes.docker_engine import DockerEngine
from scout_deploy.runtimes.engine_gate import EngineGate
from scout_deploy.runtimes.gpu_probe import probe_gpus
from scout_deploy.runtimes.images import Images
from scout_deploy.served_model import ServedModel
from scout_deploy.xdg import cache_directory


def up_containers(output: Output, wish: Wish, *, may_replace: bool, gate: EngineGate | None = None) -> Up:
    """Start or exchange a deployment of containers, and return when it generated.

    Args:
        gate: What engines that are exchanged have to pass.
    """
    runtime = container_runtime()
    try:
        if gate is not None:
            check_reach(runtime.engine.address)
        secrets = make_secrets(wish.profile, os.environ, runtime.routes(wish.name).kept())
        prepared = preparation(runtime, replace(wish, secrets=secrets))
        view = StartView(output)
        with view.shown():
            return bring_up_containers(runtime, prepared, view.emit, may_replace=may_replace, gate=gate)
    finally:
        runtime.engine.close()


def draft_containers(wish: Wish) -> ContainerDeployment:
    """Return the plan as far as it is known without asking a daemon, a hub, a registry or a driver.

    Args:
        wish: With its secrets, so that what is wrong with them is found too.
    """
    return draft(wish, container_engine_for(wish.profile.engine.kind), expected_model(wish))


def expected_model(wish: Wish) -> ServedModel:
    """Return what is known of the wish's model without asking a daemon, a hub, a registry or a driver."""
    address = address_of_environment(os.environ)
    return weights_source(
        wish,
        lambda: DockerEngine.connect(os.environ),
        is_local=address is None or address.is_local,
        ask_hub=False,
    ).expect()


def preparation(runtime: ContainerRuntime, wish: Wish) -> ContainerPreparation:
    """Put together what a start of this wish needs."""
    return ContainerPreparation(
        wish=wish,
        runtime=runtime,
        adapter=container_engine_for(wish.profile.engine.kind),
        images=Images(runtime.engine, ImageHistory(runtime.directories.state / "history" / "images.json")),
        model=weights_source(wish, lambda: runtime.engine, is_local=runtime.engine.address.is_local, ask_hub=True),
        read_gpus=partial(_inventory, runtime, wish.name),
        fit=fit_check(
            wish,
            box=box_of(runtime.engine.address),
            starts=memory_history(runtime.directories).starts(),
            ask_hub=True,
        ),
    )


def fit_check(wish: Wish, *, box: str, starts: tuple[MeasuredStart, ...], ask_hub: bool) -> FitCheck:
    """Return what plans this wish beforehand.

    Args:
        box: The machine whose GPUs are meant.
        starts: What earlier starts really took.
        ask_hub: Whether the hub may be asked for what is not known of the model here.
    """
    return FitCheck(
        profile=wish.pins.on(wish.profile),
        profile_name=wish.profile_name,
        adapter=planning_engine_for(wish.profile.engine.kind),
        find=ModelLookup(cache=cache_directory(os.environ), hub=own_hub, ask_hub=ask_hub).find,
        insists=wish.insists,
        box=box,
        starts=starts,
        cpu=lambda: cpu_here(machine_with_memory(os.environ), wish.profile.replicas),
    )


def _inventory(runtime: ContainerRuntime, name: str, image: str) -> Inventory:
    return read_local_inventory() if runtime.engine.address.is_local else probe_gpus(runtime.engine, image, name)
