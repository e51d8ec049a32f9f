"""A process that answers on a port from a route table: `scripted_proxy.py ROUTES PORT`. Stands for the proxy.

`/generate` is 200 while the table's upstream is `running`, 503 otherwise; every answer carries the table's state.
"""

import json
import signal
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        table = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
        running = [one for one in table["upstreams"] if one["state"] == "running"]
        body = {"generated_texts": ["1"]} if running else {"detail": "Model or tokenizer not loaded"}
        encoded = json.dumps(body).encode()
        self.send_response(200 if running else 503)
        self.send_header("Content-Length", str(len(encoded)))
        self.end_headers()
        self.wfile.write(encoded)

    do_GET = do_POST

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the log is the supervisor's to test."""


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    HTTPServer(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()
