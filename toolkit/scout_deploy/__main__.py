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
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A model writes any language, on a terminal that may not: escaped is better than a crash.
            stream.reconfigure(errors="backslashreplace")
    try:
        _run()
    except DeployError as error:
        from scout_deploy.cli.errors import print_error

        print_error(error, as_json="--json" in sys.argv)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except OSError as error:
        if error.errno not in {errno.EPIPE, errno.ENOSPC}:
            raise
        # Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno == errno.ENOSPC:
            print(f"error: the output cannot be written: {error.strerror}", file=sys.stderr)
            return 1
    return 0


def _run() -> None:
    # Here, because it takes half a second, in which Ctrl-C must not show a traceback either.
    from scout_deploy.cli.app import create_app

    try:
        create_app()()
    finally:
        # Here, where it can be explained, and not at the interpreter's end.
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
