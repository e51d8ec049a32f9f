"""What goes wrong with a model's files, as the libraries say it that every engine reads them with."""

from scout_deploy.diagnosis.death import Death
from scout_deploy.diagnosis.diagnosis import Diagnosis, EngineSettings
from scout_deploy.diagnosis.evidence import in_log
from scout_deploy.diagnosis.signature import Evidence, Signature

_MODEL = 10


def model_signatures() -> tuple[Signature, ...]:
    """Return the failures of downloading, reading and understanding a model."""
    return (
        # Before the gated one: an unknown repository is answered with 401 too.
        Signature(
            name="unknown-revision",
            matcher=in_log("RevisionNotFoundError|Revision Not Found for url|is not a valid git identifier"),
            explain=_unknown_revision,
        ),
        Signature(
            name="unknown-model",
            matcher=in_log("RepositoryNotFoundError|Repository Not Found for url"),
            explain=_unknown_model,
        ),
        Signature(
            name="gated-model",
            matcher=in_log(
                r"GatedRepoError|Cannot access gated repo|Access to model \S+ is restricted"
                r"|40[13] Client Error: (Unauthorized|Forbidden) for url: https://huggingface\.co"
            ),
            explain=_gated,
        ),
        Signature(name="damaged-weights", matcher=in_log("Error while deserializing header"), explain=_damaged),
        Signature(
            name="unusable-directory",
            matcher=in_log(
                # What huggingface_hub says of its own cache is no error where it goes on.
                r"^(?!.*Will ignore error).*(\[Errno 13\] Permission denied: '/|\[Errno 30\] Read-only file system: '/)"
            ),
            explain=_unusable_directory,
        ),
    )


def _name(settings: EngineSettings) -> str:
    return settings.model_id or "the model"


def _unknown_revision(_: Death, settings: EngineSettings, evidence: Evidence) -> Diagnosis:
    return Diagnosis(
        name="unknown-revision",
        cause=f"the Hugging Face hub has no such revision of {_name(settings)}",
        evidence=evidence,
        next_step="correct model.revision: a branch, a tag or a full commit of that model's repository",
        exit_code=_MODEL,
    )


def _unknown_model(_: Death, settings: EngineSettings, evidence: Evidence) -> Diagnosis:
    return Diagnosis(
        name="unknown-model",
        cause=f"the Hugging Face hub has no model {_name(settings)} that this token may see",
        evidence=evidence,
        next_step="check the spelling of model.id (owner/name); for a private repository, set HF_TOKEN to a token that "
        "may read it",
        exit_code=_MODEL,
    )


def _gated(_: Death, settings: EngineSettings, evidence: Evidence) -> Diagnosis:
    return Diagnosis(
        name="gated-model",
        cause=f"the Hugging Face hub gives {_name(settings)} only to accounts that were granted access, and got no "
        "token of one",
        evidence=evidence,
        next_step="ask for access on the model's page, then set HF_TOKEN to a token of that account from "
        "https://huggingface.co/settings/tokens",
        exit_code=_MODEL,
    )


def _damaged(_: Death, settings: EngineSettings, evidence: Evidence) -> Diagnosis:
    return Diagnosis(
        name="damaged-weights",
        cause=f"a weights file of {_name(settings)} is incomplete or damaged: its header cannot be read",
        evidence=evidence,
        next_step="remove the damaged files from the weights directory and run the same command again, which downloads "
        "what is missing",
        exit_code=_MODEL,
    )


def _unusable_directory(_: Death, _settings: EngineSettings, evidence: Evidence) -> Diagnosis:
    return Diagnosis(
        name="unusable-directory",
        cause="the engine may not read or write a directory that it needs",
        evidence=evidence,
        next_step="give the user that the engine runs as access to the weights directory on the Docker host (ls -ld "
        "shows its owner), on a file system that is not mounted read-only",
        exit_code=_MODEL,
    )
