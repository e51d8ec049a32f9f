"""The supervisor's process: `python -m scout_deploy.runtimes.supervise DEPLOYMENT STATE CONFIG`, three folders."""

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path

from scout_deploy.backoff import Backoff
from scout_deploy.deployment_store import DeploymentStore
from scout_deploy.engines.catalogue import adapter_for
from scout_deploy.errors import DeployError
from scout_deploy.file_lock import LockHeldError
from scout_deploy.processes import identify
from scout_deploy.runtimes.supervisor import Supervisor
from scout_deploy.xdg import UserDirectories


def main(arguments: list[str]) -> int:
    """Supervise until SIGTERM or SIGINT; return the exit status."""
    deployment, state, config = map(Path, arguments)
    # A daemon must not keep the directory it was started in from being unmounted or removed.
    os.chdir("/")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    store = DeploymentStore(deployment)
    try:
        with store.supervisor_lock(f"pid {os.getpid()}"):
            asyncio.run(_supervise(store, UserDirectories(state=state, config=config)))
    except (DeployError, LockHeldError) as exc:
        print(f"supervisor: error: {exc}", file=sys.stderr)
        return 1
    return 0


async def _supervise(store: DeploymentStore, directories: UserDirectories) -> None:
    own = identify(os.getpid())
    if own is None:
        raise DeployError("this system does not tell the start time of a process")
    spec = store.read_spec()
    supervisor = Supervisor(store, spec, directories, own=own, adapter=adapter_for(spec.engine_kind), backoff=Backoff())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, supervisor.request_stop)
    await supervisor.run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
