"""An embedded engine that begins when a test lets it: until then its interpreter waits, however long that takes."""

import os
from pathlib import Path

# What the interpreter imports before it runs anything.
_FILE = "sitecustomize.py"
_HOLD = """\
import sys, time
from pathlib import Path

while "scout_engine" in sys.orig_argv and Path(__file__).exists():
    time.sleep(0.01)
"""


class HeldEngine:
    """Holds each engine of the commands that are given its variables, from its start on.

    Args:
        folder: Made here.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._file = folder / _FILE
        self._file.write_text(_HOLD, encoding="utf-8")
        others = filter(None, [os.environ.get("PYTHONPATH")])
        self.variables = {"PYTHONPATH": os.pathsep.join([str(folder), *others])}

    def let_go(self) -> None:
        """Let it begin; from now on none is held."""
        self._file.unlink()
