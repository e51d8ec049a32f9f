"""How the C library keeps freed memory."""

import ctypes
import sys
from typing import Final

M_TRIM_THRESHOLD: Final = -1
M_MMAP_THRESHOLD: Final = -3
KEPT_BYTES: Final = 1 << 30


def keep_freed_memory() -> None:
    """Have glibc reuse freed blocks of up to 1 GiB instead of giving them back to the kernel.

    Every step allocates the same large arrays, and fetching their pages from the kernel again took a quarter of the
    processor time (measured). Does nothing on other systems.
    """
    if sys.platform != "linux":
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(M_MMAP_THRESHOLD, KEPT_BYTES)
        library.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
