"""`scout-deploy bench`: measure (also without a word for it), list, compare, report."""

from typing import Any

import typer
from typer.core import TyperGroup

from scout_deploy.cli.bench_kept import compare, list_, report
from scout_deploy.cli.bench_run import run

_DEFAULT = "run"
_HELP = ("-h", "--help")


class _RunByDefault(TyperGroup):
    """Takes `bench NAME --quick` as `bench run NAME --quick`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        is_named = bool(args) and (args[0] in self.commands or args[0] in _HELP)
        return super().parse_args(ctx, args if is_named else [_DEFAULT, *args])


def register(app: typer.Typer) -> None:
    """Add the commands as a group."""
    group = typer.Typer(
        help="Measure how fast a deployment is and how many requests it carries, and compare measurements.\n\n"
        "`bench NAME` is `bench run NAME`; see `bench run --help` for its options.",
        cls=_RunByDefault,
    )
    group.command("run")(run)
    group.command("list")(list_)
    group.command("compare")(compare)
    group.command("report")(report)
    app.add_typer(group, name="bench")
