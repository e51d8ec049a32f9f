"""Checks of the machine itself: room, port, token, network and the embedded engine. Pure."""

from collections.abc import Iterator

from scout_deploy.doctor.facts import Disk, Embedded, Facts, Port, Reach
from scout_deploy.doctor.outcome import EngineKind, Outcome
from scout_deploy.gpus.gpu import gigabytes

# Ours: below it neither TGI's image nor the weights of any model worth a GPU fit.
_LITTLE_ROOM_BYTES = 20 * 10**9

# TGI's README recommends 1 GB of shared memory for the talk between shards.
_LITTLE_SHM_BYTES = 10**9

_TGI: tuple[EngineKind, ...] = ("tgi",)
_EMBEDDED: tuple[EngineKind, ...] = ("embedded",)
_BOTH: tuple[EngineKind, ...] = ("embedded", "tgi")


def machine_checks(facts: Facts) -> Iterator[Outcome]:
    """Look at what is no matter of Docker or GPUs."""
    yield from (_disk(disk) for disk in facts.disks)
    if facts.shm_bytes is not None:
        yield _shm(facts.shm_bytes)
    yield _port(facts.port)
    yield _token(has_token=facts.has_token)
    yield from (_reached(reach) for reach in facts.reached)
    yield Outcome(check="python", state="good", fact=facts.python, concerns=_BOTH)
    yield _embedded(facts.embedded)


def _disk(disk: Disk) -> Outcome:
    if disk.free_bytes is None:
        fact = f"{disk.purpose} at {disk.path}: its room cannot be seen by this user"
        return Outcome(check="disk", state="good", fact=fact, concerns=_TGI)
    fact = f"{disk.purpose} at {disk.path}: {gigabytes(disk.free_bytes)} free"
    if disk.free_bytes < _LITTLE_ROOM_BYTES:
        fix = "free some; docker system df shows what Docker keeps" if "Docker" in disk.purpose else "free some"
        return Outcome(check="disk", state="doubtful", fact=fact, fix=fix, concerns=_TGI)
    return Outcome(check="disk", state="good", fact=fact, concerns=_TGI)


def _shm(size_bytes: int) -> Outcome:
    fact = f"{size_bytes / 10**9:.1f} GB in /dev/shm"
    if size_bytes < _LITTLE_SHM_BYTES:
        return Outcome(
            check="shared memory",
            state="doubtful",
            fact=f"{fact}; shards talk through shared memory",
            fix="sudo mount -o remount,size=8G /dev/shm, or keep engine/shm_size_gb set",
            concerns=_TGI,
        )
    return Outcome(check="shared memory", state="good", fact=fact, concerns=_TGI)


def _port(port: Port) -> Outcome:
    where = f"{port.host}:{port.number}"
    if port.is_free:
        return Outcome(check="port", state="good", fact=f"{where} is free", concerns=_BOTH)
    if port.problem is not None:
        return Outcome(
            check="port",
            state="bad",
            fact=f"{where} cannot be listened on: {port.problem}",
            fix="change proxy/host or proxy/port",
            concerns=_BOTH,
        )
    # A running deployment of this product has its port by right.
    by = f" by {port.holder}" if port.holder else ""
    return Outcome(
        check="port",
        state="doubtful",
        fact=f"{where} is in use{by}",
        fix="scout-deploy status shows whether it is a deployment; else --port chooses another",
        concerns=_BOTH,
    )


def _token(*, has_token: bool) -> Outcome:
    if has_token:
        return Outcome(check="hub token", state="good", fact="there is one", concerns=_TGI)
    return Outcome(
        check="hub token",
        state="doubtful",
        fact="none in HF_TOKEN or in the Hugging Face cache; gated models, such as Llama, need one",
        fix="make a token at https://huggingface.co/settings/tokens and export HF_TOKEN, or run hf auth login",
        concerns=_TGI,
    )


def _reached(reach: Reach) -> Outcome:
    through = f" through {reach.through}" if reach.through else ""
    if reach.problem is None:
        return Outcome(check="network", state="good", fact=f"{reach.host} answers{through}", concerns=_TGI)
    return Outcome(
        check="network",
        state="doubtful",
        fact=f"{reach.host} is not reached{through}: {reach.problem}",
        fix=f"{reach.purpose} has to be here already, or HTTPS_PROXY set, for Docker's daemon too",
        concerns=_TGI,
    )


def _embedded(embedded: Embedded) -> Outcome:
    def outcome(fact: str, fix: str) -> Outcome:
        return Outcome(check="embedded engine", state="bad", fact=fact, fix=fix, concerns=_EMBEDDED)

    if not embedded.is_installed:
        return outcome("the package xllamacpp is not installed", "pip install 'scout-deploy[embedded]'")
    if embedded.has_avx2 is False:
        return outcome("this CPU lacks AVX2, which llama.cpp is built for", "use a machine with AVX2")
    if embedded.model_problem is not None:
        return outcome(embedded.model_problem, "correct model/path; without one, install scout-deploy again")
    return Outcome(check="embedded engine", state="good", fact="installed, and this CPU can run it", concerns=_EMBEDDED)
