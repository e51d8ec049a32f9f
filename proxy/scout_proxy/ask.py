"""`python -m scout_proxy.ask PATH`: ask the proxy on this machine, and print its answer as one line of JSON.

For whoever gets into the proxy's container but does not reach its port: the toolkit, and the container's health check.
Imports nothing but small parts of the standard library, since a health check starts it every few seconds.
"""

import argparse
import http.client
import json
import sys
from pathlib import Path

# As in config.py, which is not imported for the time that this takes.
_DEFAULT_PORT = 2025
_HOST = "127.0.0.1"
_DEFAULT_TIMEOUT_S = 10.0

EXIT_NO_ANSWER = 1
EXIT_OTHER_STATUS = 2


def main(arguments: list[str] | None = None) -> int:
    """Return the process's exit code: 0 for an answer, 1 for none, 2 for an answer of a status not expected."""
    parser = argparse.ArgumentParser(prog="python -m scout_proxy.ask", description="Ask the proxy on this machine.")
    parser.add_argument("path", help="such as /health")
    parser.add_argument("--port", type=int, default=_DEFAULT_PORT, help="default: %(default)s")
    parser.add_argument(
        "--timeout",
        type=float,
        default=_DEFAULT_TIMEOUT_S,
        help="seconds to wait for each answer (default: %(default)s)",
    )
    parser.add_argument("--body", help="JSON to POST; - reads it from stdin; without it the path is asked with GET")
    parser.add_argument("--key-file", type=Path, help="file of the API key to send, where it is there")
    parser.add_argument("--fresh", action="store_true", help="ask for an answer that is stored nowhere")
    parser.add_argument("--expect", type=_statuses, help="statuses that are well, such as 200,503; another one exits 2")
    given = parser.parse_args(arguments)
    body = sys.stdin.buffer.read() if given.body == "-" else given.body and given.body.encode(errors="surrogateescape")
    try:
        key = given.key_file.read_text().strip() if given.key_file is not None and given.key_file.exists() else None
        status, answer = ask(
            given.path, port=given.port, timeout_s=given.timeout, body=body, key=key, fresh=given.fresh
        )
    except (OSError, http.client.HTTPException, ValueError) as exc:
        sys.stderr.write(f"the proxy at {_HOST} port {given.port} did not answer {given.path}: {_reason(exc)}\n")
        return EXIT_NO_ANSWER
    sys.stdout.write(json.dumps({"status": status, "body": answer}) + "\n")
    if given.expect is not None and status not in given.expect:
        expected = ", ".join(map(str, sorted(given.expect)))
        sys.stderr.write(f"the proxy answered {given.path} with status {status}; expected: {expected}\n")
        return EXIT_OTHER_STATUS
    return 0


def ask(
    path: str, *, port: int, timeout_s: float, body: bytes | None = None, key: str | None = None, fresh: bool = False
) -> tuple[int, object]:
    """Return the status and the body, parsed where it is JSON; `timeout_s` is of each wait for the proxy.

    One that is `fresh` neither comes from the cache nor goes there.

    Raises:
        OSError: Nobody answers, or not in time.
        http.client.HTTPException: What answers does not speak HTTP, or the path cannot be asked for.
    """
    connection = http.client.HTTPConnection(_HOST, port, timeout=timeout_s)
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    if fresh:
        headers["Cache-Control"] = "no-store"
    try:
        if body is None:
            connection.request("GET", path, headers=headers)
        else:
            connection.request("POST", path, body, headers | {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, _parsed(response.read().decode(errors="replace"))
    finally:
        connection.close()


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _statuses(text: str) -> frozenset[int]:
    try:
        return frozenset(int(part) for part in text.split(","))
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"should be statuses such as 200,503, got {text!r}") from exc


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


if __name__ == "__main__":
    sys.exit(main())
