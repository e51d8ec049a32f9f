"""`scout-deploy up`."""

import os
import sys
from typing import Annotated

import typer

from scout_deploy.bring_up import Progress, Up, bring_up
from scout_deploy.cli.context import Context, user_context
from scout_deploy.cli.output import Output
from scout_deploy.cli.start_view import StartView
from scout_deploy.deployment import DeploymentSpec
from scout_deploy.gguf import read_gguf
from scout_deploy.machine import visible_gpus
from scout_deploy.model_file import locate_model_file
from scout_deploy.plan import Target, ignored_settings, plan_embedded, refuse_foreign_hardware
from scout_deploy.profile_loader import load_profile, parse_overrides
from scout_proxy.version import __version__

DEFAULT_PROFILE = "embedded"
DEFAULT_NAME = "scout"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("up")(up)
