"""A process that says what `scout_loadtest.run_step` would: `scripted_load.py HOW`. Stands for what sends requests.

HOW is `good`, `wrong-input`, `crash`, `odd`, or `until-told`, which ends when it gets SIGINT.
"""

import json
import os
import signal
import sys

from fakes.bench_results import record, step_result
from scout_loadtest.step import Load


def say(event: dict[str, object]) -> None:
    print(json.dumps(event), flush=True)


def main(how: str) -> int:
    # Waited for below, however early it comes; a handler could come while what it sets is locked.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    question = json.loads(sys.stdin.read())
    load = Load.model_validate(question["load"])
    if how == "wrong-input":
        say({"event": "error", "message": "lengths.jsonl:3: is not JSON", "next": "repair the line"})
        return 2
    if how == "crash":
        print("Traceback: it broke", file=sys.stderr)
        return 1
    if how == "odd":
        print("hello", flush=True)
        return 0
    progress = {"elapsed_s": 1.0, "sent": 2, "ended": 1, "failed": 0, "in_flight": 1}
    say({"event": "progress", **progress, "ttft_p50_ms": 12.5, "output_tokens_per_s": 3.0})
    if how == "until-told":
        signal.sigwait([signal.SIGINT])
    key = os.environ.get("SCOUT_API_KEY", "no key")
    # Where the request went, with which key and which headers, for the test to see.
    headers = f" {question['headers']}" if question["headers"] else ""
    said = record(0).model_copy(update={"error_text": f"{question['url']} {key}{headers}"})
    result = step_result([said], of=load, interrupted="SIGINT" if how == "until-told" else None)
    say({"event": "result", "result": result.model_dump(mode="json")})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
