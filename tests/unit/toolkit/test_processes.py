import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from fakes.this_machine import unused_port
from scout_deploy.processes import (
    free_port,
    identify,
    is_alive,
    is_port_free,
    listens,
    marked_processes,
    port_holder,
    resident_bytes,
    stop_processes,
)

MARK = "SCOUT_TEST_MARK"


@pytest.fixture
def sleeper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[subprocess.Popen[str], str]]:
    mark = str(tmp_path_factory.mktemp("mark"))
    code = "import signal, sys; print('up', flush=True); signal.pause()"
    with subprocess.Popen(
        [sys.executable, "-S", "-c", code], stdout=subprocess.PIPE, text=True, env={**os.environ, MARK: mark}
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield process, mark
        process.kill()


def test_a_process_is_its_pid_and_its_start_time(sleeper: tuple[subprocess.Popen[str], str]) -> None:
    identity = identify(sleeper[0].pid)

    assert identity is not None
    assert is_alive(identity)
    assert (resident_bytes(identity) or 0) > 1_000_000


def test_a_reused_pid_is_somebody_else_and_is_never_killed(sleeper: tuple[subprocess.Popen[str], str]) -> None:
    process = sleeper[0]
    identity = identify(process.pid)
    assert identity is not None
    earlier = identity.model_copy(update={"birth": "another boot 1"})

    killed = stop_processes([earlier], grace_s=0.1)

    assert killed == ()
    assert not is_alive(earlier)
    assert process.poll() is None


def test_a_process_stays_itself_when_the_clock_is_set(sleeper: tuple[subprocess.Popen[str], str]) -> None:
    identity = identify(sleeper[0].pid)
    assert identity is not None

    seen_before_the_clock_was_set = identity.model_copy(update={"created_s": identity.created_s - 3600})

    assert is_alive(seen_before_the_clock_was_set)


def test_marked_processes_are_found_and_stopped(sleeper: tuple[subprocess.Popen[str], str]) -> None:
    process, mark = sleeper
    found = marked_processes(MARK, mark)

    killed = stop_processes(found, grace_s=60)

    assert [one.pid for one in found] == [process.pid]
    assert killed == ()
    assert not any(is_alive(one) for one in found)


def test_a_process_that_ignores_the_request_is_killed_after_the_grace() -> None:
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); signal.pause()"
    with subprocess.Popen([sys.executable, "-S", "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        identity = identify(process.pid)
        assert identity is not None

        killed = stop_processes([identity], grace_s=0.05)

        assert killed == (identity,)
        assert not is_alive(identity)


def test_nobody_has_a_pid_that_does_not_exist() -> None:
    assert identify(2**22 + 1) is None


def test_a_listening_port_is_taken_and_its_holder_is_named() -> None:
    # None of those that the system gives to others as soon as it is free.
    port = unused_port()
    with socket.create_server(("127.0.0.1", port)):
        assert not is_port_free("127.0.0.1", port)
        assert f"pid {os.getpid()}" in str(port_holder(port))
    assert is_port_free("127.0.0.1", port)
    assert port_holder(port) is None


def test_a_free_port_can_be_listened_on() -> None:
    assert is_port_free("127.0.0.1", free_port("127.0.0.1"))


def test_an_address_of_another_machine_is_an_error_of_its_own() -> None:
    with pytest.raises(OSError, match="assign"):
        is_port_free("192.0.2.1", 2025)


def test_only_the_process_that_has_the_port_listens_on_it(sleeper: tuple[subprocess.Popen[str], str]) -> None:
    own, other = identify(os.getpid()), identify(sleeper[0].pid)
    assert own is not None
    assert other is not None

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        assert listens(own, port)
        assert not listens(other, port)
    assert not listens(own, port)
