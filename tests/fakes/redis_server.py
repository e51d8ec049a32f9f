"""A real Redis server of Debian's package, on a free port and a Unix socket, with a folder of its own."""

import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import redis

from fakes.running_proxy import wait_until
from fakes.this_machine import unused_port

_PROGRAM = "redis-server"
_EXIT_S = 60


def redis_program() -> str:
    """Return the server's program; a test that has none fails with what to do."""
    program = shutil.which(_PROGRAM)
    if program is None:
        raise AssertionError(f"{_PROGRAM} is missing: run `make test` as root, or sudo apt-get install redis-server")
    return program


class RedisServer:
    """Started by `start`, as often as wanted, always at the same addresses; what was stored is lost with the process.

    Args:
        options: Lines of its configuration besides those that make it a server for tests.
        has_tls: Its port speaks TLS; its socket never does.
    """

    def __init__(self, folder: Path, *options: str, password: str | None = None, has_tls: bool = False) -> None:
        self.folder = folder
        self.password = password
        self.path = folder / "redis.sock"
        self.port = unused_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self.socket_url = f"unix://{self.path}"
        self._options = options
        self._port_option = "tls-port" if has_tls else "port"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.spawn()
        wait_until(self._answers, "Redis answers")

    def spawn(self) -> None:
        """Start it only."""
        lines = [
            *([] if self._port_option == "port" else ["port 0"]),
            f"{self._port_option} {self.port}",
            "bind 127.0.0.1",
            f"unixsocket {self.path}",
            f"dir {self.folder}",
            'save ""',
            *([f"requirepass {self.password}"] if self.password else []),
            *self._options,
        ]
        configuration = self.folder / "redis.conf"
        configuration.write_text("\n".join(lines) + "\n")
        log = (self.folder / "redis.log").open("ab")
        with log:
            self._process = subprocess.Popen([redis_program(), str(configuration)], stdout=log, stderr=log)

    def configure(self, *options: str) -> None:
        """Take other lines from the next start on."""
        self._options = options

    def wait_until_it_takes_connections(self) -> None:
        """Wait until it listens, whatever it answers."""
        wait_until(self._listens, "Redis takes connections")

    def kill(self) -> None:
        """End it as a crash does; also where it is paused, and where it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_EXIT_S)
            self._process = None

    def pause(self) -> None:
        """Stop its process: connections stay open, the system even takes new ones, and nothing is answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    @contextmanager
    def client(self) -> Iterator[Any]:
        """Hold a connection of the operator's for the length of a block."""
        with redis.Redis(unix_socket_path=str(self.path), password=self.password, protocol=2) as client:
            yield client

    def ask(self, *command: Any) -> Any:
        """Send one command as the operator."""
        with self.client() as client:
            return client.execute_command(*command)

    def ask_badly(self, *command: Any) -> None:
        """Send one command that is to be refused or cut off."""
        with suppress(redis.RedisError):
            self.ask(*command)

    def set_limit(self, name: str, value: object) -> None:
        """Change a line of its configuration while it runs."""
        self.ask("CONFIG", "SET", name, str(value))

    def _signal(self, number: int) -> None:
        if self._process is None:
            raise AssertionError("Redis does not run")
        self._process.send_signal(number)

    def _listens(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
            return True
        return False

    def _answers(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise AssertionError(f"Redis ended: {(self.folder / 'redis.log').read_text()}")
        with suppress(redis.ConnectionError):
            return bool(self.ask("PING"))
        return False


@contextmanager
def redis_server(
    *options: str, password: str | None = None, has_tls: bool = False, is_started: bool = True
) -> Iterator[RedisServer]:
    """Run a server for the length of a block."""
    # A short path: that of a Unix socket has a limit of about 100 characters.
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        server = RedisServer(Path(folder), *options, password=password, has_tls=has_tls)
        try:
            if is_started:
                server.start()
            yield server
        finally:
            server.kill()
