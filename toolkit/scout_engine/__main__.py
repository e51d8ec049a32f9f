"""`python -m scout_engine`: one engine in this process, until a signal ends it."""

import sys
from collections.abc import Sequence

from scout_engine.arguments import parse_arguments
from scout_engine.errors import EngineError
from scout_engine.launch import run
from scout_engine.logs import configure_logging
from scout_engine.startup_log import write_error

_INTERRUPTED = 130


def main(arguments: Sequence[str]) -> int:
    """Run the engine and return its exit code; `scout_engine.errors` says what each means."""
    try:
        config = parse_arguments(arguments)
        configure_logging(config.log_format)
        run(config)
    except EngineError as error:
        write_error(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        return _INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
