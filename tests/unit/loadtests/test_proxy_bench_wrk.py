"""Reading what wrk prints, recorded from Debian's wrk 4.1.0 with our script."""

import pytest

from proxy_bench.child import BenchError
from proxy_bench.wrk import Errors, parse_wrk

RECORDED = """\
Running 3s test @ http://127.0.0.1:9100/generate
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     9.98ms   10.09ms  55.87ms   85.97%
    Req/Sec     3.87k     1.60k    7.04k    65.52%
  Latency Distribution
     50%    9.21ms
     75%   15.74ms
     90%   23.71ms
     99%   39.37ms
  11738 requests in 3.06s, 2.62MB read
Requests/sec:   3836.44
Transfer/sec:      0.86MB

{"requests": 11738, "seconds": 3.059609, "p50_ms": 9.2130, "p99_ms": 39.3700, "connect": 0, "read": 2, "write": 0, \
"status": 3, "timeout": 0}
"""


def test_the_summary_line_is_read_and_the_rest_is_left() -> None:
    run = parse_wrk(RECORDED, cpu_seconds=1.5)

    assert run.rate == pytest.approx(3836.44, abs=0.01)
    assert (run.p50_ms, run.p99_ms, run.cpu_seconds) == (9.213, 39.37, 1.5)
    assert run.errors == Errors(read=2, status=3)
    assert run.errors.total == 5


def test_a_run_without_a_summary_shows_what_wrk_said() -> None:
    with pytest.raises(BenchError, match="unable to connect"):
        parse_wrk("unable to connect to 127.0.0.1:1 Connection refused\n", cpu_seconds=0)
