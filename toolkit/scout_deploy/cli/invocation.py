"""How the user called this command, so that what it tells them to type works in their shell."""

import shutil
import sys
from pathlib import Path

NAME = "scout-deploy"


def command_name() -> str:
    """Return `scout-deploy` where the shell finds this very installation by it, else the path it was called by."""
    called = Path(sys.argv[0])
    found = shutil.which(NAME)
    if called.name != NAME or (found is not None and Path(found).resolve() == called.resolve()):
        return NAME
    return str(called)
