"""`python -m fakes.tgi_launcher`: the played launcher, as the first process of a container."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

from fakes.tgi_launcher.arguments import ArgumentsError, UsageError, read_arguments
from fakes.tgi_launcher.launcher import Launcher, LauncherError, PlayedExitError
from fakes.tgi_launcher.log import Log
from fakes.tgi_launcher.play import PlayError, read_play

_FAILED, _USAGE, _BAD_PLAY = 1, 2, 70


def main() -> int:
    """Play, and return the launcher's exit code."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        arguments = read_arguments(sys.argv[1:], os.environ)
        play = read_play(Path(arguments.text("model_id")), os.environ)
        as_json = arguments.flag("json_output")
        log = Log(sys.stdout, as_json=as_json, environment=os.environ, now=time.time)
        Launcher(arguments, play, log, stop).run()
    except UsageError as error:
        return _end(f"{error}\n\nFor more information, try '--help'.", _USAGE)
    except ArgumentsError as error:
        return _end(f'Error: ArgumentValidation("{error}")', _FAILED)
    except LauncherError as error:
        return _end(f"Error: {error}", _FAILED)
    except PlayedExitError as ended:
        return ended.exit_code
    except PlayError as error:
        return _end(f"play: {error}", _BAD_PLAY)
    return 0


def _end(words: str, exit_code: int) -> int:
    print(words, file=sys.stderr, flush=True)
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
