"""A process that answers on a port from a route table: `scripted_proxy.py ROUTES PORT`. Stands for the proxy.

`/generate` is 200 while the table's upstream is `running`, 503 otherwise; `/status` tells the table's revision.
Where the table has API keys, both need one.
"""

import hmac
import json
import signal
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        table = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
        if self.path == "/status":
            self._answer(200, {"route_table": {"revision": table["revision"]}, "upstreams": []}, table)
            return
        running = [one for one in table["upstreams"] if one["state"] == "running"]
        body = {"generated_texts": ["1"]} if running else {"detail": "Model or tokenizer not loaded"}
        self._answer(200 if running else 503, body, table)

    do_GET = do_POST

    def _answer(self, status: int, body: object, table: dict[str, Any]) -> None:
        is_known = table["keys"] is None or self._digest(table) in {key["digest"] for key in table["keys"]["keys"]}
        encoded = json.dumps(body if is_known else {"detail": "An API key is needed"}).encode()
        self.send_response(status if is_known else 401)
        self.send_header("Content-Length", str(len(encoded)))
        self.end_headers()
        self.wfile.write(encoded)

    def _digest(self, table: dict[str, Any]) -> str:
        key = self.headers.get("Authorization", "").removeprefix("Bearer ")
        return hmac.digest(bytes.fromhex(table["keys"]["salt"]), key.encode(), "sha256").hex()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the log is the supervisor's to test."""


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    HTTPServer(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()
