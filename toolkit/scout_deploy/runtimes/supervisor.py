"""The supervisor of one deployment: keeps proxy and engine running, says what it sees, ends with them.

A first start that fails is not repeated (the same file would fail again); the proxy stays and answers 503. What
served once comes back, at once and then with growing delays.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Coroutine

from scout_deploy.api_client import ApiClient
from scout_deploy.backoff import Backoff
from scout_deploy.deployment import DeploymentSpec, Exit, Failure
from scout_deploy.deployment_store import MARK_VARIABLE, DeploymentStore
from scout_deploy.engines.adapter import EngineAdapter, Explanation, StartPhase
from scout_deploy.errors import (
    DeploymentNotFoundError,
    EngineExitedError,
    PortInUseError,
    StartTimeoutError,
    StateError,
)
from scout_deploy.evidence import save_evidence
from scout_deploy.processes import ProcessIdentity, free_port, is_alive, listens
from scout_deploy.proxy_settings import settings_of
from scout_deploy.rotating_log import RotatingLog
from scout_deploy.runtimes.first_generation import FirstGenerationError, first_generation
from scout_deploy.runtimes.keeper import End, Keeper, KeeperEvents
from scout_deploy.runtimes.status_board import StatusBoard
from scout_deploy.start_history import StartHistory
from scout_deploy.xdg import UserDirectories
from scout_proxy.route_table import UpstreamState

ENGINE_HOST = "127.0.0.1"
# A slow disk, or a machine that is busy with other starts, takes half a minute for its imports.
PROXY_START_TIMEOUT_S = 120.0
_ENGINE_GRACE_S = 10.0
_PROXY_GRACE_MARGIN_S = 5.0
_FLUSH_PERIOD_S = 1.0
_FOLLOW_PERIOD_S = 0.2
_CONNECT_PERIOD_S = 0.02
_EVIDENCE_LINES = 100
_SHOWN_LINES = 8
# The proxy's documented exit status for an address that it cannot have.
_PROXY_CANNOT_LISTEN = 4

logger = logging.getLogger(__name__)


class Supervisor:
    """Runs until it is told to stop.

    Args:
        own: The identity of this very process.
    """

    def __init__(
        self,
        store: DeploymentStore,
        spec: DeploymentSpec,
        directories: UserDirectories,
        *,
        own: ProcessIdentity,
        adapter: EngineAdapter,
        backoff: Backoff,
    ) -> None:
        self._store = store
        self._spec = spec
        self._adapter = adapter
        self._board = StatusBoard(store, spec, own, time.time)
        self._evidence = directories.evidence / spec.name
        self._history = StartHistory(directories.state / "history" / "starts.json")
        self._stop = asyncio.Event()
        self._abandon = threading.Event()
        self._given_up = False
        self._background: set[asyncio.Task[None]] = set()
        mark = {MARK_VARIABLE: str(store.folder)}
        self._proxy = Keeper(
            spec.proxy,
            log=RotatingLog(store.log("proxy")),
            environment=mark,
            pick_port=lambda: spec.port,
            start_timeout_s=PROXY_START_TIMEOUT_S,
            backoff=backoff,
            events=KeeperEvents(started=self._proxy_started, line=lambda _: None, ended=self._proxy_ended),
        )
        self._engine = Keeper(
            spec.engine,
            log=RotatingLog(store.log("engine")),
            environment=mark,
            pick_port=lambda: free_port(ENGINE_HOST),
            start_timeout_s=spec.start_timeout_s,
            backoff=backoff,
            events=KeeperEvents(started=self._engine_started, line=self._engine_line, ended=self._engine_ended),
        )

    def request_stop(self) -> None:
        """End the deployment; for signal handlers."""
        self._stop.set()
        self._abandon.set()

    async def run(self) -> None:
        """Start proxy and engine, in that order, and keep them until `request_stop`.

        Raises:
            OSError: One of the two commands cannot be started at all.
        """
        self._spawn(self._flush_behind())
        self._spawn(self._follow_declaration())
        keepers = [asyncio.create_task(self._keep(keeper)) for keeper in (self._proxy, self._engine)]
        try:
            await self._stop.wait()
            for keeper in keepers:
                if keeper.done():
                    keeper.result()
        finally:
            self.request_stop()
            self._board.stopping()
            # The proxy first: it finishes what it accepted while its engine still works.
            await self._proxy.stop(grace_s=self._spec.routes.limits.drain_s + _PROXY_GRACE_MARGIN_S)
            await self._engine.stop(grace_s=_ENGINE_GRACE_S)
            for task in (*keepers, *self._background):
                task.cancel()
            await asyncio.gather(*keepers, *self._background, return_exceptions=True)

    async def _keep(self, keeper: Keeper) -> None:
        try:
            await keeper.keep()
        except OSError:
            self.request_stop()
            raise

    def _proxy_started(self, identity: ProcessIdentity | None, port: int) -> None:
        self._board.process_started("proxy", identity)
        if identity is not None:
            self._spawn(self._await_proxy(identity, port))

    async def _await_proxy(self, identity: ProcessIdentity, port: int) -> None:
        while not self._stop.is_set() and is_alive(identity):
            # Whoever answers there may be somebody else, who was quicker to take the port.
            if await _answers(self._spec.host, port) and listens(identity, port):
                self._proxy.mark_ready()
                self._board.settle(serving=self._engine.is_ready)
                return
            await asyncio.sleep(_CONNECT_PERIOD_S)

    def _proxy_ended(self, end: End) -> None:
        self._note_end("proxy", self._proxy, end)
        if end.delay_s is None:
            cause = f"the proxy exited with status {end.code}" + ("" if end.was_ready else " before it could answer")
            kind = PortInUseError if end.code == _PROXY_CANNOT_LISTEN else EngineExitedError
            self._fail(Failure(exit_code=kind.exit_code, cause=cause, evidence=self._shown(self._proxy)))

    def _engine_started(self, identity: ProcessIdentity | None, port: int) -> None:
        self._board.process_started("engine", identity)
        self._board.upstream(f"http://{ENGINE_HOST}:{port}", UpstreamState.STARTING)
        self._engine_phase(StartPhase(name="start"))

    def _engine_line(self, line: str) -> None:
        phase = self._adapter.read_phase(line)
        if phase is None:
            return
        if phase.name != "ready":
            self._engine_phase(phase)
            return
        self._engine.mark_ready()
        self._board.upstream(self._board.engine_url, UpstreamState.RUNNING)
        if self._board.status.ready_s is None:
            self._engine_phase(StartPhase(name="first generation"))
            self._spawn(self._prove(self._engine.served_s))
        else:
            self._board.settle(serving=self._proxy.is_ready)

    def _engine_phase(self, phase: StartPhase) -> None:
        last_s = self._history.last_start_s(self._history_key)
        estimate_s = None if last_s is None else max(0.0, last_s - self._engine.served_s)
        self._board.phase(phase, estimate_s)

    async def _prove(self, engine_start_s: float) -> None:
        await self._proxy.wait_ready()
        deadline_s = time.monotonic() + self._spec.start_timeout_s
        try:
            client = ApiClient(self._spec.url, self._store.operator_key)
            await asyncio.to_thread(first_generation, client.ask, deadline_s=deadline_s, stop=self._abandon)
        except FirstGenerationError as exc:
            cause = str(exc)
            evidence = self._shown(self._engine)
            self._fail(Failure(exit_code=EngineExitedError.exit_code, cause=cause, evidence=evidence))
            return
        if not self._stop.is_set() and not self._given_up:
            for keeper in (self._proxy, self._engine):
                keeper.mark_proven()
            self._history.record(self._history_key, engine_start_s)
            self._board.ready()

    def _engine_ended(self, end: End) -> None:
        evidence_file = self._note_end("engine", self._engine, end)
        if end.delay_s is not None:
            self._board.upstream(self._board.engine_url, UpstreamState.STARTING)
            self._engine_phase(StartPhase(name="restart", detail=f"the engine died; again in {end.delay_s:g} s"))
            return
        told = self._explain(end)
        failure = Failure(
            exit_code=told.exit_code,
            cause=told.cause,
            next_step=told.next_step,
            evidence=self._shown(self._engine),
            evidence_file=evidence_file,
        )
        self._spawn(self._fail_once_proxy_answers(failure))

    async def _fail_once_proxy_answers(self, failure: Failure) -> None:
        # An engine can die before the proxy listens; whoever reads of the failure may rely on the proxy's 503.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PROXY_START_TIMEOUT_S):
                await self._proxy.wait_ready()
        self._fail(failure)

    def _explain(self, end: End) -> Explanation:
        if not end.timed_out:
            return self._adapter.explain_exit(end.code, self._engine.log_tail(_EVIDENCE_LINES))
        return Explanation(
            exit_code=StartTimeoutError.exit_code,
            cause=f"the engine was not ready within {self._spec.start_timeout_s:g} s",
            next_step="scout-deploy up --timeout SECONDS, if it only needs longer",
        )

    def _note_end(self, role: str, keeper: Keeper, end: End) -> str | None:
        lines = keeper.log_tail(_EVIDENCE_LINES)
        facts = {"exit_code": end.code, "served_s": round(end.served_s, 2), "was_ready": end.was_ready, "log": lines}
        path = save_evidence(self._evidence, role=role, at_s=time.time(), facts=facts)
        evidence_file = None if path is None else str(path)
        logger.warning(
            "%s ended with status %d after %.1f s; evidence: %s", role, end.code, end.served_s, evidence_file
        )
        self._board.process_ended(role, Exit(code=end.code, served_s=end.served_s, evidence=evidence_file))
        if end.delay_s is not None:
            self._board.process_restarts(role)
        return evidence_file

    def _fail(self, failure: Failure) -> None:
        if self._given_up:
            return
        logger.error("failed: %s", failure.cause)
        self._given_up = True
        self._abandon.set()
        self._board.failed(failure)
        self._spawn(self._engine.stop(grace_s=_ENGINE_GRACE_S))

    def _shown(self, keeper: Keeper) -> tuple[str, ...]:
        return keeper.log_tail(_SHOWN_LINES)

    @property
    def _history_key(self) -> str:
        return " ".join(self._spec.engine.argv[1:])

    async def _flush_behind(self) -> None:
        while not self._stop.is_set():
            await asyncio.sleep(_FLUSH_PERIOD_S)
            if self._board.unwritten:
                self._board.flush()

    async def _follow_declaration(self) -> None:
        """Hand on to the proxy what `up --replace` declares."""
        followed: int | None = None
        while not self._stop.is_set():
            await asyncio.sleep(_FOLLOW_PERIOD_S)
            # It is replaced whole, and gone while the deployment is being forgotten.
            if (declared := self._store.declared_at_ns) not in (None, followed):
                followed = declared
                with contextlib.suppress(StateError, DeploymentNotFoundError):
                    self._board.configure(settings_of(self._store.read_spec().routes))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


async def _answers(host: str, port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    return True
