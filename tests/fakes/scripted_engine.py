"""A process that starts and ends as a file tells it: `scripted_engine.py BEHAVIOUR_FILE PORT`. Stands for an engine.

Behaviours: `serve`; `die STATUS MESSAGE`; `hang` (never ready); `die-ready STATUS` (dies right after readiness).
The file is read at each start, so that a test can change what the next life does.
"""

import signal
import sys
from pathlib import Path


def main() -> int:
    behaviour, _, rest = Path(sys.argv[1]).read_text(encoding="utf-8").partition(" ")
    print("scout-engine: phase=load model=scripted", flush=True)
    if behaviour == "die":
        status, _, message = rest.partition(" ")
        print(f"scout-engine: error: {message}", flush=True)
        return int(status)
    if behaviour != "hang":
        print(f"scout-engine: phase=ready url=http://127.0.0.1:{sys.argv[2]} seconds=0.01", flush=True)
    if behaviour == "die-ready":
        return int(rest)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    while True:
        signal.pause()


if __name__ == "__main__":
    sys.exit(main())
