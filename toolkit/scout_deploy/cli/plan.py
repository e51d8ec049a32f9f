"""`scout-deploy plan`."""

import os
from typing import Annotated

import typer

from scout_deploy.cli.context import kept_memory
from scout_deploy.cli.embedded_view import plan_embedded_memory, show_embedded
from scout_deploy.cli.fit_view import Shown, show_fit, show_ranking
from scout_deploy.cli.machine import machine, machine_with_memory
from scout_deploy.cli.output import Output
from scout_deploy.engines.catalogue import planning_engine_for
from scout_deploy.engines.tgi.nearest import Shipped, nearest
from scout_deploy.errors import DeployError, GpuUnavailableError, ProfileError
from scout_deploy.fit.measured_start import MeasuredStart
from scout_deploy.fit_plan import FitPlan, Planner
from scout_deploy.hub import Hub, find_token
from scout_deploy.machine import machine_name
from scout_deploy.model_lookup import ModelLookup
from scout_deploy.plan_gpus import GpusToPlan, cpu_here, gpus_here, named_gpus
from scout_deploy.plan_machine import PlanMachine
from scout_deploy.profile.catalogue import profile_files, shipped_profiles_dir
from scout_deploy.profile.layers import parse_overrides
from scout_deploy.profile.loader import LoadedProfile, load_profile
from scout_deploy.weights.place import cache_folder
from scout_deploy.xdg import cache_directory

_LONGEST_CONTEXT = 16_777_216


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("plan")(plan)


def plan(
    *,
    profile: Annotated[str | None, typer.Option(help="Name of a profile, or path of its file.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Compare the shipped profiles on the same GPUs.")] = False,
    gpus: Annotated[
        str | None, typer.Option(metavar="4xH100-80GB", help="Plan for these GPUs instead of this machine's.")
    ] = None,
    context: Annotated[
        int | None, typer.Option(min=16, max=_LONGEST_CONTEXT, help="Tokens of one sequence, instead of the profile's.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set a key of the profile. Repeatable.")
    ] = None,
    uncorrected: Annotated[
        bool, typer.Option("--uncorrected", help="Leave out what earlier starts on this machine took.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Say beforehand whether a model fits, with how much context, and what would do where it does not."""
    output = Output(as_json=as_json)
    if every == (profile is not None):
        raise ProfileError("plan: expected either --profile NAME or --all", next_step="scout-deploy profiles list")
    if every and overrides:
        raise ProfileError(
            "--set: sets keys of one profile, and --all compares every shipped one",
            next_step="name the profile: scout-deploy plan --profile NAME --set KEY=VALUE",
        )
    # What was measured here says nothing of other GPUs.
    starts = () if uncorrected or gpus is not None else kept_memory().starts()
    if every:
        _rank(output, gpus, context, starts)
        return
    loaded = load_profile(str(profile), environment=os.environ, overrides=parse_overrides(overrides or ()))
    if loaded.profile.engine.kind == "embedded":
        if gpus is not None:
            raise _no_gpus(loaded, gpus, "engine/kind: embedded")
        memory = plan_embedded_memory(loaded, context, starts)
        show_embedded(output, loaded, memory)
        if not memory.works:
            raise typer.Exit(GpuUnavailableError.exit_code)
        return
    if not _plan_one(output, loaded, gpus, context, starts).works:
        raise typer.Exit(GpuUnavailableError.exit_code)


def _plan_one(
    output: Output, loaded: LoadedProfile, written: str | None, context: int | None, starts: tuple[MeasuredStart, ...]
) -> FitPlan:
    box = _box(loaded, written)
    planner = _planner(loaded, context, starts, ask_hub=True)
    found = planner.on(box.of_replica(loaded.profile))
    show_fit(
        output,
        Shown(
            name=loaded.name,
            planner=planner,
            plan=found,
            origin=box.origin,
            would_do=() if found.works or not found.is_about_memory else planner.smallest_sets(found.gpus[0]),
            nearest=None if found.works or found.gpus[0].is_cpu else _nearest(loaded, planner, box, context),
        ),
    )
    return found


def _box(loaded: LoadedProfile, written: str | None) -> GpusToPlan:
    """Return what the profile is planned for.

    Raises:
        DeployError: There is nothing, or GPUs are named that the profile does not use.
    """
    profile = loaded.profile
    if not profile.hardware.cpu_only:
        if written is not None:
            return named_gpus(written, is_free_choice=False)
        return gpus_here(machine(os.environ), profile.hardware)
    if written is not None:
        raise _no_gpus(loaded, written, "hardware/cpu_only")
    return cpu_here(machine_with_memory(os.environ), profile.replicas)


def _no_gpus(loaded: LoadedProfile, written: str, reason: str) -> ProfileError:
    return ProfileError(
        f"--gpus: got {written!r}, and the profile '{loaded.name}' computes on the CPU ({reason})",
        next_step="leave --gpus out, or name a profile for GPUs: scout-deploy profiles list",
    )


def _planner(
    loaded: LoadedProfile, context: int | None, starts: tuple[MeasuredStart, ...] = (), *, ask_hub: bool
) -> Planner:
    lookup = ModelLookup(cache=cache_directory(os.environ), hub=_hub, ask_hub=ask_hub)
    return Planner(
        profile=loaded.profile,
        model=lookup.find(loaded.profile.model),
        adapter=planning_engine_for(loaded.profile.engine.kind),
        context=context,
        box=machine_name(),
        starts=starts,
    )


def _rank(output: Output, written: str | None, context: int | None, starts: tuple[MeasuredStart, ...]) -> None:
    rows = []
    here = machine(os.environ) if written is None else PlanMachine()
    for loaded in _shipped():
        box = gpus_here(here, loaded.profile.hardware) if written is None else named_gpus(written, is_free_choice=True)
        planner = _planner(loaded, context, starts, ask_hub=False)
        rows.append(Shown(name=loaded.name, planner=planner, plan=planner.on(box.of_replica(loaded.profile))))
    show_ranking(output, rows)


def _shipped() -> list[LoadedProfile]:
    directories = (shipped_profiles_dir(),)
    loaded = [load_profile(name, environment={}, directories=directories) for name in profile_files(directories)]
    return [one for one in loaded if one.profile.engine.kind != "embedded"]


def _nearest(loaded: LoadedProfile, planner: Planner, box: GpusToPlan, context: int | None) -> str | None:
    """Name the nearest shipped profile of a model of this kind that works on these GPUs."""
    if planner.model is None:
        return None
    choice = GpusToPlan(gpus=box.gpus)
    working = []
    for one in _shipped():
        theirs = _planner(one, context, planner.starts, ask_hub=False)
        if theirs.model is not None and theirs.on(choice.of_replica(one.profile)).answer == "fits":
            working.append(Shipped(name=one.name, profile=one.profile, facts=theirs.model.facts))
    found = nearest(loaded.profile, planner.model.facts, working)
    return None if found is None or found.name == loaded.name else found.name


def _hub() -> Hub:
    try:
        token = find_token()
    except DeployError:
        # A plan needs one for a gated model alone, and the hub will say so.
        token = None
    return Hub(cache=cache_folder(os.environ), token=token)
