"""Load the proxy with everything that clients do, for a long time, and say what went wrong and what is left over.

Hits, misses, streams, several sequences, clients that go away, bad requests, the OpenAI and native routes: each answer
is checked. Routes that the proxy does not have are left out and named. The exit code is 1 where a goal was not met.
"""

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import aiohttp

from proxy_bench.cores import TooFewCoresError, choose_cores
from proxy_bench.engine import Engine, running_engine
from proxy_bench.machine import describe_machine
from proxy_bench.open_files import raise_limit
from proxy_bench.report import markdown
from proxy_bench.server import Place, Server, scout
from proxy_bench.soak.findings import Findings, Rest, Sample, judge
from proxy_bench.soak.traffic import Traffic, UnexpectedError
from proxy_bench.verdict import Section

_CACHE_ENTRIES = 1000
_LATENCY_MS = 20
_INTERVAL_MS = 3
_LONGEST_PAUSE_S = 0.05
_SAMPLES = 360
_SHORTEST_SAMPLE_S = 0.5
# Longer than the proxy keeps idle connections to an engine.
_CALM_S = 12.0
# As a shell has it for SIGINT.
_INTERRUPTED = 130
_MISSING_ROUTE = ("status 404", "status 405")


async def soak(server: Server, engine: Engine, seconds: float) -> tuple[Findings, Rest]:
    """Load, watch, stop, and look at what is left once it is calm."""
    findings = Findings()
    async with _clients() as session:
        kinds = await _served_kinds(_traffic(session, server))
    await asyncio.sleep(_CALM_S)
    descriptors_before = server.child.descriptors()
    async with _clients() as session:
        traffic, ends_at = _traffic(session, server), time.monotonic() + seconds
        work = [_work(name, traffic, findings, ends_at) for name in kinds for _ in range(traffic.kinds[name][1])]
        await asyncio.gather(*work, _watch(traffic, server, engine, findings, ends_at))
    await asyncio.sleep(_CALM_S)
    # Before a connection is opened to ask for the status.
    descriptors_after = server.child.descriptors()
    async with _clients() as session:
        status = await _traffic(session, server).status()
    rest = Rest(
        descriptors_before=descriptors_before,
        descriptors_after=descriptors_after,
        proxy_in_flight=status["in_flight"],
        engine_in_flight=engine.counters()["in_flight"],
    )
    return findings, rest


def _clients() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))


def _traffic(session: aiohttp.ClientSession, server: Server) -> Traffic:
    return Traffic(session, server.target.url, server.target.headers["Authorization"].removeprefix("Bearer "))


async def _served_kinds(traffic: Traffic) -> list[str]:
    """Ask each kind once; returns those whose route is there."""
    served = []
    for name, (ask, _) in traffic.kinds.items():
        try:
            await ask()
        except UnexpectedError as exc:
            if exc.cause.startswith(_MISSING_ROUTE):
                print(f"  left out: {name} ({exc.cause})", flush=True)
                continue
        served.append(name)
    return served


async def _work(name: str, traffic: Traffic, findings: Findings, ends_at: float) -> None:
    ask, _ = traffic.kinds[name]
    while time.monotonic() < ends_at:
        try:
            await ask()
        except UnexpectedError as exc:
            findings.fail(name, exc.cause, exc.detail)
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, LookupError, TypeError) as exc:
            findings.fail(name, type(exc).__name__, str(exc))
        else:
            findings.answers[name] += 1
        await asyncio.sleep(random.uniform(0, _LONGEST_PAUSE_S))


async def _watch(traffic: Traffic, server: Server, engine: Engine, findings: Findings, ends_at: float) -> None:
    began = time.monotonic()
    pause_s = max(_SHORTEST_SAMPLE_S, (ends_at - began) / _SAMPLES)
    while time.monotonic() < ends_at:
        try:
            status = await traffic.status()
            await traffic.metrics()
        except (UnexpectedError, aiohttp.ClientError, TimeoutError) as exc:
            findings.fail("status and metrics", type(exc).__name__, str(exc))
        else:
            sample = Sample(
                at_s=time.monotonic() - began,
                rss_bytes=server.child.rss_bytes(),
                descriptors=server.child.descriptors(),
                proxy_in_flight=status["in_flight"],
                engine_in_flight=engine.counters()["in_flight"],
            )
            findings.samples.append(sample)
            print(
                f"  {sample.at_s:6.0f} s  {findings.answers.total():>9,} answers  "
                f"{findings.errors.total():>5,} errors  {sample.rss_bytes / 1e6:6.1f} MB  "
                f"{sample.descriptors:>4} descriptors  {sample.proxy_in_flight:>4} in flight",
                flush=True,
            )
        await asyncio.sleep(pause_s)


def main() -> int:
    """Soak, print, and return the exit code."""
    given = _parse()
    try:
        cores = choose_cores()
    except TooFewCoresError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 1
    raise_limit()
    machine = describe_machine(cores, None)
    os.sched_setaffinity(0, {cores.load})
    with (
        tempfile.TemporaryDirectory(prefix="proxy-soak-") as folder,
        running_engine(cores.load, Path(folder)) as engine,
    ):
        engine.set(latency_ms=_LATENCY_MS, interval_ms=_INTERVAL_MS)
        place = Place(core=cores.server, folder=Path(folder), engine_url=engine.url)
        with scout(place, cache_entries=_CACHE_ENTRIES) as server:
            findings, rest = asyncio.run(soak(server, engine, given.minutes * 60))
            said = server.child.said()
    verdicts = judge(findings, rest)
    print(f"\n{markdown([Section(key='soak', title='Soak', verdicts=verdicts)], machine)}")
    for cause, count in findings.errors.most_common():
        print(f"- {count:,} times {cause}")
    for example in findings.examples:
        print(f"- for example {example}")
    if given.json:
        given.json.write_text(json.dumps({"machine": machine, "findings": asdict(findings), "rest": asdict(rest)}))
    is_clean = all(verdict.is_met is not False for verdict in verdicts)
    if not is_clean:
        print(f"\nThe end of the proxy's log:\n{said}")
    return 0 if is_clean else 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m proxy_bench.soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--json", type=Path, help="write every sample into this file")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; of a run that did not end nothing is judged\n")
        sys.exit(_INTERRUPTED)
