"""The command `scout-deploy`, also as `python -m scout_deploy`."""

import os
import sys

from scout_deploy.cli.app import create_app
from scout_deploy.cli.errors import print_error
from scout_deploy.errors import DeployError

INTERRUPTED = 130


def main() -> int:
    """Run the command line and return its exit status. The only place where errors become text."""
    try:
        create_app()()
    except DeployError as error:
        print_error(error, as_json="--json" in sys.argv)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has enough of it; Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())
