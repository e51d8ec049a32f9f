"""A real Prometheus server of Debian's package on a free port, that scrapes one proxy many times a second."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
import yaml

from fakes.running_proxy import wait_until
from fakes.this_machine import unused_port

FOLDER = Path(__file__).parents[2] / "infra/prometheus"
_START_S = 60.0
_STOP_S = 30


def program(name: str) -> str:
    """Return the path of `prometheus` or `promtool`; a test that has none fails with what to do."""
    path = shutil.which(name)
    if path is None:
        raise AssertionError(f"{name} is missing: run `make test` as root, or sudo apt-get install prometheus")
    return path


class PrometheusServer:
    """Runs with the configuration that is shipped, but scrapes `target`, and quickly."""

    def __init__(self, folder: Path, target: str) -> None:
        self.log = folder / "prometheus.log"
        port = unused_port()
        self.url = f"http://127.0.0.1:{port}"
        config = folder / "prometheus.yml"
        config.write_text(yaml.safe_dump(_config(target)), encoding="utf-8")
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    program("prometheus"),
                    f"--config.file={config}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{port}",
                    # A flag of its own tests: it looks for new targets only every five seconds otherwise.
                    "--scrape.discovery-reload-interval=100ms",
                ],
                stdout=log,
                stderr=log,
            )

    def wait_until_ready(self) -> None:
        wait_until(self._is_ready, "Prometheus is ready", _START_S)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series of an expression at this moment; fail with Prometheus's own words where it has an error."""
        answer = requests.get(f"{self.url}/api/v1/query", params={"query": expression}, timeout=10).json()
        assert answer["status"] == "success", f"{answer.get('error')}: {expression}"
        series: list[dict[str, Any]] = answer["data"]["result"]
        return series

    def rules(self) -> list[dict[str, Any]]:
        """Return every rule with how its last evaluation went."""
        answer = requests.get(f"{self.url}/api/v1/rules", timeout=10).json()
        return [rule for group in answer["data"]["groups"] for rule in group["rules"]]

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(_STOP_S)

    def _is_ready(self) -> bool:
        assert self._process.poll() is None, self.log.read_text(encoding="utf-8")
        try:
            return requests.get(f"{self.url}/-/ready", timeout=1).status_code == 200
        except requests.ConnectionError:
            return False


def _config(target: str) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((FOLDER / "prometheus.yml").read_text(encoding="utf-8"))
    config["global"] = {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"}
    config["rule_files"] = [str(FOLDER / name) for name in config["rule_files"]]
    config["scrape_configs"][0]["static_configs"] = [{"targets": [target]}]
    return config


@contextmanager
def prometheus_server(folder: Path, target: str) -> Iterator[PrometheusServer]:
    """Run a server for the length of a block."""
    server = PrometheusServer(folder, target)
    try:
        server.wait_until_ready()
        yield server
    finally:
        server.stop()
