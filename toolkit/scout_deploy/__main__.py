"""The command `scout-deploy`, also as `python -m scout_deploy`."""

import errno
import gc
import io
import os
import sys

from scout_deploy.errors import DeployError

INTERRUPTED = 130
# The libraries that a command imports are no garbage, and to look through them for some takes a tenth of its start.
_OBJECTS_BEFORE_COLLECTION = 50_000


def main() -> int:
    """Run the command line and return its exit status. The only place where errors become text."""
    gc.set_threshold(_OBJECTS_BEFORE_COLLECTION)
    _open_what_is_closed()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A model writes any language, on a terminal that may not: escaped is better than a crash.
            stream.reconfigure(errors="backslashreplace")
    try:
        return _run()
    except DeployError as error:
        return _tell(error)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except OSError as error:
        if _is_folder_gone():
            return _tell(DeployError("the folder that this runs in is gone", next_step="cd to a folder that is there"))
        _give_up_output(error)
        if error.errno == errno.ENOSPC:
            print(f"error: the output cannot be written: {error.strerror}", file=sys.stderr)
            return 1
    return 0


def _open_what_is_closed() -> None:
    """Let no file get the number of a standard stream that the caller closed, and nobody find None in its place."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            # The lowest number that is free.
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), "w" if number else "r"))


def _is_folder_gone() -> bool:
    from pathlib import Path

    try:
        Path.cwd()
    except FileNotFoundError:
        return True
    return False


def _tell(error: DeployError) -> int:
    from scout_deploy.cli.errors import print_error

    try:
        print_error(error, as_json="--json" in sys.argv)
        sys.stdout.flush()
    except OSError as exc:
        # Then the status is all that can be told.
        _give_up_output(exc)
    return error.exit_code


def _give_up_output(error: OSError) -> None:
    """Leave aside what cannot be written, of which Python would complain once more at exit; other errors are bugs."""
    if error.errno not in {errno.EPIPE, errno.ENOSPC}:
        raise error
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _run() -> int:
    # Here, because it takes half a second, in which Ctrl-C must not show a traceback either.
    from scout_deploy.cli.app import run_command_line

    try:
        return run_command_line(as_json="--json" in sys.argv)
    finally:
        # Here, where it can be explained, and not at the interpreter's end.
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
