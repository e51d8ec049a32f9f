"""The machine that sends the requests: other machines have other figures."""

import os
import platform


def this_machine() -> str:
    """Describe it in a line."""
    return f"{platform.node()}, {platform.system()} {platform.machine()}, {os.cpu_count()} processors"
