"""Files in the safetensors format, of any size, whose tensors are noise that repeats."""

import itertools
import json
import struct


def safetensors_file(size_bytes: int, seed: int = 251) -> bytes:
    """Return a file of exactly this size with one tensor; another seed gives other contents."""
    header = b""
    for _ in range(4):
        # The header says how much follows it, and its own length depends on that number's digits.
        has = size_bytes - 8 - len(header)
        header = json.dumps({"noise": {"dtype": "U8", "shape": [has], "data_offsets": [0, has]}}).encode()
    noise = bytes(itertools.islice(itertools.cycle(range(seed)), size_bytes - 8 - len(header)))
    return struct.pack("<Q", len(header)) + header + noise
