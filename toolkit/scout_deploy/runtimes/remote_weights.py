"""Weights for a Docker host that is another machine: fetched there, by a container of our own, into a volume."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from scout_deploy.containers import labels
from scout_deploy.containers.deployment import WEIGHTS_FOLDER, WEIGHTS_VOLUME, Weights
from scout_deploy.containers.spec import Mount
from scout_deploy.errors import DeployError, WeightsError
from scout_deploy.model_facts import ModelFacts
from scout_deploy.model_files import ReadFile, facts_of_files, template_of_files
from scout_deploy.progress import Tell
from scout_deploy.runtimes.docker_engine import DockerEngine
from scout_deploy.runtimes.docker_errors import DaemonRefusedError
from scout_deploy.runtimes.engine_start import name_conflict
from scout_deploy.runtimes.errand import Errand, container_for, lines_of
from scout_deploy.served_model import ServedModel
from scout_deploy.weights.place import relative_snapshot
from scout_deploy.weights.repository import DownloadProgress
from scout_deploy.weights_meter import FETCH, UNRESOLVED, Meter
from scout_proxy.route_table import Template

_CREDENTIAL = "/hf-token"
_VOLUME = Mount(kind="volume", source=WEIGHTS_VOLUME, target=WEIGHTS_FOLDER)


@dataclass(frozen=True, kw_only=True)
class VolumeSource:
    """A repository of the hub, in the weights volume of the Docker host; see `model_sources.ModelSource`.

    Args:
        deployment: For which it is fetched.
        connect: Gives the daemon; asked for the first time when something has to be fetched.
        image: One with this product, for the container that fetches.
        facts: What is recorded of the model.
        token: The operator's, which travels as a file into a container that is removed.
        environment: Of the download: the hub's address, where the operator chose one. Never a secret.
    """

    deployment: str
    connect: Callable[[], DockerEngine]
    image: str
    model_id: str
    revision: str
    facts: ModelFacts
    token: str | None
    environment: Mapping[str, str]

    def expect(self) -> ServedModel:
        """See `ModelSource.expect`: nothing of that host is read before its container runs."""
        return ServedModel(weights=self._weights(UNRESOLVED), facts=self.facts, template=Template())

    def provide(self, tell: Tell) -> ServedModel:
        """See `ModelSource.provide`: the container finds what its volume has already.

        Raises:
            NameConflictError: Somebody else's volume has the name.
        """
        engine = self.connect()
        own = engine.volume_labels(WEIGHTS_VOLUME)
        if own is None:
            engine.create_volume(WEIGHTS_VOLUME, {labels.ROLE: labels.WEIGHTS})
        elif own.get(labels.ROLE) != labels.WEIGHTS:
            raise name_conflict("volume", WEIGHTS_VOLUME)
        tell(FETCH, f"{self.model_id}, on {engine.address.url}")
        meter = Meter(tell)
        with container_for(engine, self._errand()) as container:
            commit = self._commit(lines_of(engine, container), meter)
            folder = f"{WEIGHTS_FOLDER}/{relative_snapshot(self.model_id, commit)}"
            read = _reader(engine, container, folder)
            return ServedModel(
                weights=self._weights(commit), facts=facts_of_files(read), template=template_of_files(read)
            )

    def _errand(self) -> Errand:
        argv = ("python", "-m", "scout_deploy.weights.fetch", "--model-id", self.model_id)
        token = () if self.token is None else ("--token-file", _CREDENTIAL)
        return Errand(
            deployment=self.deployment,
            image=self.image,
            argv=(*argv, "--revision", self.revision, "--cache", WEIGHTS_FOLDER, *token),
            mounts=(_VOLUME,),
            # A new volume is root's, and the engines read it as root.
            user="0",
            environment=dict(self.environment),
            files={} if self.token is None else {_CREDENTIAL: self.token.encode()},
        )

    def _commit(self, lines: Iterator[str], meter: Meter) -> str:
        said: list[str] = []
        for line in lines:
            event = _event(line)
            if event is None:
                said.append(line)
            elif event.get("event") == "progress":
                meter.show(
                    DownloadProgress(
                        done_bytes=int(event["done_bytes"]),
                        total_bytes=int(event["total_bytes"]),
                        file=event["file"],
                        waits_for=event.get("waits_for"),
                        retries=event.get("retries", 0),
                        trouble=event.get("trouble"),
                    )
                )
            elif event.get("event") == "error":
                raise _failed(event)
            elif event.get("event") == "done":
                return str(event["commit"])
        raise WeightsError(
            "the download container on the Docker host ended without a word",
            next_step="up again goes on where it ended",
            evidence=tuple(said[-8:]),
        )

    def _weights(self, commit: str) -> Weights:
        return Weights(
            mount=_VOLUME.model_copy(update={"read_only": True}),
            path=f"{WEIGHTS_FOLDER}/{relative_snapshot(self.model_id, commit)}",
            commit=None if commit == UNRESOLVED else commit,
        )


def _failed(event: Mapping[str, Any]) -> DeployError:
    return WeightsError(
        str(event.get("message")),
        next_step=event.get("next_step"),
        evidence=tuple(map(str, event.get("evidence") or ())),
    )


def _event(line: str) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def _reader(engine: DockerEngine, container: str, folder: str) -> ReadFile:
    def read(name: str) -> bytes | None:
        try:
            return engine.get_file(container, f"{folder}/{name}")
        except DaemonRefusedError:
            return None

    return read
