"""Load the API with Locust: `locust -f loadtests/locustfile.py --host http://127.0.0.1:2025`.

With its page, with --headless, or on several machines (--master, --worker, --processes). Names of user classes choose
what is asked: `locust -f loadtests/locustfile.py ChatUser`; without one it is MixedUser. `--arrival poisson --rate 20`
sends by a schedule instead, whatever is answered; the number of users says nothing then. SCOUT_API_KEY holds the key.
At its end a run prints the token metrics below Locust's own tables.
"""

import sys
from argparse import ArgumentParser
from typing import Any

import gevent
from locust import events
from locust.env import Environment

from scout_loadtest.errors import InputError
from scout_loadtest.load.locust_load import WRONG_INPUT, LocustLoad
from scout_loadtest.load.users import (
    ChatUser,
    LongAnswerUser,
    LongPromptUser,
    MixedUser,
    RepeatedUser,
    SequencesUser,
    StreamedUser,
    UniqueUser,
)

__all__ = [
    "ChatUser",
    "LongAnswerUser",
    "LongPromptUser",
    "MixedUser",
    "RepeatedUser",
    "SequencesUser",
    "StreamedUser",
    "UniqueUser",
]


def add_options(parser: ArgumentParser, **_: Any) -> None:
    """Add what this load can be told; Locust's page asks for the same."""
    group = parser.add_argument_group("Load options")
    group.add_argument("--seed", type=int, default=0, help="the same seed sends the same requests")
    group.add_argument("--data", default="", help="JSON lines with prompts or lengths of your own")
    group.add_argument(
        "--arrival",
        choices=["closed", "constant", "poisson"],
        default="closed",
        help="closed: a user asks when answered; constant, poisson: by a schedule of --rate",
    )
    group.add_argument("--rate", type=float, default=0.0, help="requests a second, of all workers together")
    group.add_argument("--warm-up", type=float, default=0.0, help="seconds that the token metrics leave out")
    for name, what in (("ttft", "its first token"), ("tpot", "each further token"), ("e2e", "the whole answer")):
        said = f"ms for {what}: goodput is the share of requests within all targets that are set"
        group.add_argument(f"--{name}-target", type=float, default=0.0, help=said)
    group.add_argument("--request-timeout", type=float, default=60.0, help="seconds for a whole request")


def begin(environment: Environment, **_: Any) -> None:
    """Make the load of this run."""
    options = environment.parsed_options
    if options is not None and not options.user_classes and not options.class_picker and not options.worker:
        environment.user_classes[:] = [MixedUser]
    # Locust's first timers would be short by what the imports took: a run of ten seconds may end at once.
    gevent.get_hub().loop.update_now()
    load = environment.scout_load = LocustLoad(environment)  # type: ignore[attr-defined]
    try:
        load.check()
    except InputError as exc:
        print(f"error: {exc.message}\nnext: {exc.next_step}", file=sys.stderr)
        sys.exit(WRONG_INPUT)


events.init_command_line_parser.add_listener(add_options)
events.init.add_listener(begin)
