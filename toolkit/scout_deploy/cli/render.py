"""`scout-deploy render`: compose, systemd."""

import os
import shlex
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from scout_deploy.cli.context import DEFAULT_DEPLOYMENT
from scout_deploy.cli.invocation import NAME, command_name
from scout_deploy.cli.output import Output
from scout_deploy.cli.unit import own_command, unit_request
from scout_deploy.cli.up import DEFAULT_PROFILE
from scout_deploy.cli.up_containers import expected_model
from scout_deploy.cli.wish import read_wish
from scout_deploy.container_draft import Wish, planned
from scout_deploy.containers.deployment import ContainerDeployment
from scout_deploy.engines.catalogue import container_engine_for
from scout_deploy.errors import ProfileError
from scout_deploy.image_history import ImageHistory
from scout_deploy.proxy_image.context import ProxyImage, build_context
from scout_deploy.proxy_secrets import make_secrets
from scout_deploy.render.bundle import COMPOSE_FILE, Bundle, compose_bundle
from scout_deploy.render.compose import PRIVATE_FOLDER, PRIVATE_ROUTES
from scout_deploy.render.placement import GpuWay, placement_for
from scout_deploy.render.rendered_secrets import rendered_secrets
from scout_deploy.render.systemd import systemd_unit, unit_name
from scout_deploy.render.write import write_files
from scout_deploy.xdg import user_directories
from scout_proxy.version import __version__

_Profile = Annotated[str, typer.Option(help="Name of a profile, or path of its file.")]
_Name = Annotated[str, typer.Option(help="Name of the deployment.")]
_Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set a key of the profile, as in proxy.port=2026. Repeatable."),
]
_Force = Annotated[bool, typer.Option("--force", help="Overwrite what is there.")]


def register(app: typer.Typer) -> None:
    """Add the commands as a group."""
    group = typer.Typer(help="Write what `up` would start as files for other programs.", no_args_is_help=True)
    group.command("compose")(compose)
    group.command("systemd")(systemd)
    app.add_typer(group, name="render")


def compose(
    *,
    profile: _Profile,
    name: _Name = DEFAULT_DEPLOYMENT,
    overrides: _Set = None,
    gpus: Annotated[
        GpuWay | None,
        typer.Option(
            help="How the Docker host hands over GPUs: by NVIDIA's runtime (the default), as CDI devices, or as AMD's "
            "device files. Only `up` can find that out, for a file may be meant for another machine."
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="Folder to write into; without it, one of the name."),
    ] = None,
    force: _Force = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was written as JSON.")] = False,
) -> None:
    """Write a Compose file that starts what `up` would start, with what it needs. No Docker and no GPU is asked."""
    output = Output(as_json=as_json)
    _, wish = read_wish(profile, name, overrides or ())
    if wish.profile.engine.kind == "embedded":
        raise ProfileError(
            f"profile '{wish.profile_name}' runs as processes of this user, and Compose starts containers",
            next_step=shlex.join([NAME, "render", "systemd", "--profile", wish.profile_name]),
        )
    target = Path(name) if folder is None else folder
    secrets = make_secrets(wish.profile, os.environ, rendered_secrets(target / PRIVATE_ROUTES))
    plan, proxy_image = _plan(replace(wish, secrets=secrets), gpus)
    again = _again(wish, gpus, target)
    bundle = compose_bundle(plan, proxy_image=proxy_image, version=__version__, again=again, secret_files=secrets.files)
    write_files(target, bundle.files, may_overwrite=force, private=PRIVATE_FOLDER)
    _report(output, name, target, bundle)


def systemd(
    *,
    profile: _Profile = DEFAULT_PROFILE,
    name: _Name = DEFAULT_DEPLOYMENT,
    overrides: _Set = None,
    file: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="File to write, instead of printing the unit.")
    ] = None,
    force: _Force = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the unit, and its name, as JSON.")] = False,
) -> None:
    """Print a systemd unit of this user that starts a deployment of local processes with the machine."""
    output = Output(as_json=as_json)
    loaded, wish = read_wish(profile, name, overrides or ())
    if wish.profile.engine.kind != "embedded":
        raise ProfileError(
            f"profile '{wish.profile_name}' runs in containers, and needs no unit: what `up` proved to work, Docker "
            "itself starts again after a crash and after a reboot",
            next_step=f"{shlex.join([NAME, 'up', '--profile', wish.profile_name])}, and once: systemctl enable docker",
        )
    unit = systemd_unit(unit_request(loaded, wish, os.environ, own_command()))
    if file is not None:
        write_files(file.parent, {file.name: unit.encode()}, may_overwrite=force)
    output.document(
        {
            "deployment": name,
            "name": unit_name(name),
            "file": None if file is None else str(file.absolute()),
            "unit": unit,
        }
    )
    if file is None:
        output.line(unit.removesuffix("\n"))
    else:
        output.line(f"Wrote {file}; its first lines say how to install it.")


def _plan(wish: Wish, gpus: GpuWay | None) -> tuple[ContainerDeployment, ProxyImage | None]:
    """Return the plan, with images by their digest where one is known, and what the proxy's image is built of."""
    own = wish.profile.proxy
    built = build_context(own.base_image) if own.image is None else None
    make = partial(
        planned,
        wish,
        container_engine_for(wish.profile.engine.kind),
        expected_model(wish),
        placement_for(wish.profile, gpus),
        proxy_image=own.image or (built.tag if built is not None else ""),
        generation=1,
    )
    plan = make(engine_image=None)
    digests = ImageHistory(user_directories(os.environ).state / "history" / "images.json")
    digest = digests.digest(plan.engines[0].image)
    return (plan if digest is None else make(engine_image=digest)), built


def _again(wish: Wish, gpus: GpuWay | None, target: Path) -> str:
    options = ["--profile", wish.profile_name, "--name", wish.name]
    options += [part for one in wish.overrides for part in ("--set", one)]
    options += [] if gpus is None else ["--gpus", gpus.value]
    return shlex.join([NAME, "render", "compose", *options, "-o", str(target), "--force"])


def _report(output: Output, name: str, target: Path, bundle: Bundle) -> None:
    program = "docker-compose" if shutil.which("docker-compose") else "docker compose"
    start, stop = (f"cd {shlex.quote(str(target))} && {program} {verb}" for verb in ("up -d", "down"))
    output.document(
        {
            "deployment": name,
            "folder": str(target.absolute()),
            "files": sorted(bundle.files),
            "start": start,
            "stop": stop,
            "fetch_weights": bundle.fetch,
            "notes": list(bundle.notes),
        }
    )
    for note in bundle.notes:
        output.line(f"note: {note}", style="yellow")
    output.line(f"Wrote {target / COMPOSE_FILE}, and {len(bundle.files) - 1} files beside it that it needs.")
    output.line()
    if bundle.fetch is not None:
        output.line(
            f"  The weights are not here yet. Fetch them, then write the file again, with --force:\n  {bundle.fetch}"
        )
        return
    output.line(f"  start it   {start}")
    output.line(f"  see it     {command_name()} status {name}")
    output.line(f"  stop it    {stop}")
