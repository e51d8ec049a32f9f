"""`up --dry-run` for a profile whose engine runs in containers: nothing is started, and no hub is asked."""

import os
from dataclasses import dataclass, field

import typer

from scout_deploy.cli.context import container_runtime, kept_memory
from scout_deploy.cli.fit_view import HEADS, fit_document
from scout_deploy.cli.machine import machine_with_memory
from scout_deploy.cli.output import Output
from scout_deploy.cli.plan_view import ShownFit, show_plan
from scout_deploy.cli.planned_gate import PlannedGate
from scout_deploy.cli.up_containers import draft_containers, expected_model, fit_check
from scout_deploy.container_draft import Wish
from scout_deploy.containers import labels
from scout_deploy.errors import DeployError, GpuUnavailableError
from scout_deploy.fit_check import FitCheck, correction_notes, on_cpu, on_driver
from scout_deploy.fit_plan import FitPlan, Planner
from scout_deploy.gpu_placement import choose
from scout_deploy.gpus.inventory import Inventory, read_local_inventory
from scout_deploy.machine import machine_name
from scout_deploy.plan_gpus import cpu_here, gpus_of
from scout_deploy.runtimes.docker_address import address_of_environment, box_of


@dataclass(frozen=True, kw_only=True)
class _Holders:
    """Who has this machine's GPUs.

    Args:
        taken: Index of a GPU and the deployment that has it.
        own: Those of the deployment that is asked for, which its next start gets back.
    """

    taken: dict[int, str] = field(default_factory=dict)
    own: frozenset[int] = frozenset()


def dry_run_containers(output: Output, wish: Wish, gate: PlannedGate | None = None) -> None:
    """Print what `up` would run, and whether it fits, as far as that is known here.

    Args:
        gate: What engines that are exchanged would have to pass.

    Raises:
        typer.Exit: `up` would refuse it; the status is the same.
    """
    deployment = draft_containers(wish)
    address = address_of_environment(os.environ)
    is_local = address is None or address.is_local
    box = machine_name() if address is None else box_of(address)
    check = fit_check(wish, box=box, starts=kept_memory().starts(), ask_hub=False)
    if wish.profile.hardware.cpu_only:
        shown, works = _fit_on_cpu(check)
    else:
        shown, works = _fit(check, wish, read_local_inventory() if is_local else Inventory())
    show_plan(output, deployment, fit=shown, gate=gate)
    if not works:
        raise typer.Exit(GpuUnavailableError.exit_code)


def _fit(check: FitCheck, wish: Wish, inventory: Inventory) -> tuple[ShownFit, bool]:
    """Plan as `up` would; what cannot be known here is said, and stands in nobody's way.

    Args:
        inventory: Of this machine; empty where the GPUs are another one's.
    """
    try:
        planner = check.planner()
    except DeployError as exc:
        return _unknown(exc.message), True
    if not inventory.gpus:
        meant = gpus_of(wish.profile.hardware)
        if meant is None:
            return _unknown("no GPU is known here, and the profile names none"), True
        return _shown(check, planner.on(meant), "the GPUs that the profile is for")
    try:
        plan = _plan_here(planner, wish, inventory)
    except GpuUnavailableError as exc:
        next_step = () if exc.next_step is None else (f"next: {exc.next_step}",)
        return ShownFit(lines=(f"{HEADS['no']}: {exc.message}", *next_step), document=_refused(exc)), False
    if plan is None:
        return _unknown("the driver does not say how large its GPUs are"), True
    return _shown(check, plan, "the GPUs of this machine")


def _fit_on_cpu(check: FitCheck) -> tuple[ShownFit, bool]:
    """Plan as `up` would, which refuses what would not fit either if nobody else had any memory."""
    try:
        planner = check.planner()
        box = cpu_here(machine_with_memory(os.environ), check.profile.replicas)
    except DeployError as exc:
        return _unknown(exc.message), True
    shown, works = _shown(check, on_cpu(planner, box), box.origin)
    return shown, works or on_cpu(planner, box, is_idle=True).works


def _plan_here(planner: Planner, wish: Wish, inventory: Inventory) -> FitPlan | None:
    """Return the plan of the first replica that does not work, else of the first.

    Raises:
        GpuUnavailableError: There are not enough, or not such.
    """
    holders = _holders(wish.name)
    replicas = choose(wish.profile, expected_model(wish).facts, inventory, holders.taken, leaving=holders.own)
    plans = [on_driver(planner, gpus, holders.own) for gpus in replicas]
    return next((plan for plan in plans if plan is not None and not plan.works), plans[0])


def _shown(check: FitCheck, plan: FitPlan, origin: str) -> tuple[ShownFit, bool]:
    first, *more = plan.reason.splitlines()
    advice = []
    if not plan.works:
        advice = ["next: up --force would start it all the same" if check.insists else f"next: {check.advice}"]
    elif plan.answer == "unknown":
        advice = [f"next: scout-deploy plan --profile {check.profile_name} asks the hub"]
    shown = ShownFit(
        lines=(
            f"{HEADS[plan.answer]}: {first} ({origin})",
            *(f"  {line}" for line in more),
            *advice,
            *(f"note: {note}" for note in correction_notes(plan.correction)),
        ),
        document=fit_document(plan, origin),
    )
    return shown, plan.works or check.insists


def _unknown(reason: str) -> ShownFit:
    return ShownFit(
        lines=(f"{HEADS['unknown']}: whether the model fits is not known: {reason}",),
        document={"verdict": "unknown", "reason": reason},
    )


def _refused(error: DeployError) -> dict[str, str]:
    return {"verdict": "no", "reason": error.message}


def _holders(name: str) -> _Holders:
    """Ask the daemon, if one answers; without, nobody has them as far as is known."""
    try:
        runtime = container_runtime()
    except DeployError:
        return _Holders()
    try:
        own = {index for one in runtime.look(name).all_engines for index in labels.read_gpus(one.labels)}
        return _Holders(taken=runtime.taken_gpus(), own=frozenset(own))
    except DeployError:
        return _Holders()
    finally:
        runtime.engine.close()
