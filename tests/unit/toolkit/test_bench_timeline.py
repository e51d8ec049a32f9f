"""What the proxy says of itself while it is measured, from real answers of a real server."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from scout_deploy.api_client import ApiClient
from scout_deploy.bench.timeline import Timeline, sample
from scout_loadtest.bench_run import Sample

STATUS = '{"in_flight": 3, "queue": {"waiting": 2}, "upstreams": [{"takes_requests": true}, {"takes_requests": false}]}'
METRICS = """\
# HELP scout_proxy_requests_total Requests answered.
# TYPE scout_proxy_requests_total counter
scout_proxy_requests_total{route="/generate",status="200"} 7.0
scout_proxy_requests_total{route="/",status="200"} 2.0
scout_proxy_generated_tokens_total 123.0
scout_proxy_cache_requests_total{outcome="hit"} 4.0
scout_proxy_cache_requests_total{outcome="miss"} 9.0
"""


class Api(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = {"/status": STATUS, "/metrics": METRICS}[self.path].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    with HTTPServer(("127.0.0.1", 0), Api) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def client_of(server: HTTPServer) -> ApiClient:
    return ApiClient(f"http://127.0.0.1:{server.server_port}")


def test_a_sample_has_what_status_and_metrics_say(server: HTTPServer) -> None:
    assert sample(client_of(server), at_s=1.0) == Sample(
        at_s=1.0,
        is_answering=True,
        engines_serving=1,
        in_flight=3,
        waiting=2,
        output_tokens_total=123.0,
        cache_hits_total=4.0,
        requests_total=9.0,
    )


def test_a_proxy_that_is_gone_is_a_sample_too(server: HTTPServer) -> None:
    client = client_of(server)
    gone, came = threading.Event(), threading.Event()

    class Clock:
        calls = calls_since = 0

        def __call__(self) -> float:
            self.calls += 1
            self.calls_since += gone.is_set()
            # Three samples have been taken since it went.
            if self.calls_since == 10:
                came.set()
            return self.calls / 1000

    with Timeline(client, period_s=0.001, clock=Clock()) as timeline:
        server.socket.close()
        gone.set()
        assert came.wait(60)

    assert timeline.samples
    assert timeline.samples[-1] == Sample(at_s=timeline.samples[-1].at_s, is_answering=False)
