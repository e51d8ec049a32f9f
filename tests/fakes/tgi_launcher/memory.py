"""Take memory until the kernel ends the process: the real death of a container at its memory limit."""

import sys

_MOUTHFUL_BYTES = 16 * 2**20
# 2 GiB: a container that is given no limit must not take the machine's memory.
MOUTHFULS = 128


def eat(mouthfuls: int) -> None:
    """Take so much; returns only where no limit ends it, and then says that it was the test's mistake."""
    taken = [bytearray(b"\1") * _MOUTHFUL_BYTES for _ in range(mouthfuls)]
    sys.exit(f"{len(taken) * _MOUTHFUL_BYTES} bytes were there to take: the container has no memory limit below it")


if __name__ == "__main__":
    eat(MOUTHFULS)
