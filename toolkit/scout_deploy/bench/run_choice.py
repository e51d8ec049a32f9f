"""Which runs a word of the user means: a file, a run's name, or all runs of a deployment (and of one image of it)."""

from pathlib import Path

from scout_deploy.bench.run_store import RunStore, read_run, short_digest
from scout_deploy.errors import DeployError
from scout_loadtest.bench_run import GATE, BenchRun


def chosen_runs(store: RunStore, word: str) -> tuple[BenchRun, ...]:
    """Return the runs that are meant, at least one.

    Args:
        word: A run's name, the path of a run's JSON, `DEPLOYMENT`, or `DEPLOYMENT@` and the beginning of an image's
            digest or the name of a profile.

    Raises:
        DeployError: None is meant by it.
        StateError: The file is no run.
    """
    if (path := Path(word)).is_file():
        return (read_run(path),)
    if (kept := store.find(word)) is not None:
        return (read_run(kept),)
    deployment, _, of = word.partition("@")
    # A gate's run is short and has a load of its own: it is compared where somebody names it.
    own = [run for run in store.runs() if run.subject.deployment == deployment and not is_gate(run)]
    if chosen := tuple(run for run in own if not of or _is_of(run, of)):
        return chosen
    what = f"no benchmark of '{deployment}'" if not own else f"no benchmark of '{deployment}' with '{of}'"
    raise DeployError(
        f"'{word}' is neither a file nor a benchmark that is kept here; there is {what} either",
        next_step="scout-deploy bench list",
    )


def is_gate(run: BenchRun) -> bool:
    """Tell whether it is what `up --gate` measured."""
    return any(step.purpose == GATE for step in run.steps)


def _is_of(run: BenchRun, word: str) -> bool:
    subject = run.subject
    digest = subject.image_digest or ""
    bare = digest.rpartition(":")[2]
    return subject.profile == word or (bool(bare) and (bare.startswith(word.rpartition(":")[2]) or digest == word))


def image_words(run: BenchRun) -> str:
    """Return the image of a run, shortly."""
    return short_digest(run.subject.image_digest) or "-"
