"""What can go wrong between the hub and the disk, and the one thing to do about it.

    DeployError
    └── WeightsError (16)          the weights cannot be had, or not all of them
        └── HubUnreachableError    nobody answers, or the connection broke: another try may go on from there

No text here holds a token, nor an address's user and password.
"""

import errno
from pathlib import Path
from urllib.parse import urlsplit

from scout_deploy.errors import WeightsError

_TOKENS = "https://huggingface.co/settings/tokens"
_STEP = 1000


class HubUnreachableError(WeightsError):
    """Nobody answers, or the connection broke; what came so far is kept."""


class DownloadCancelledError(Exception):
    """The download was told to stop. Not a `WeightsError`: whoever cancelled knows why."""


def shown(endpoint: str) -> str:
    """Return an endpoint without the user and password that its address may hold."""
    parts = urlsplit(endpoint)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" if parts.netloc else endpoint


def gated(model_id: str, *, has_token: bool) -> WeightsError:
    """Its owners grant access account by account."""
    page = f"https://huggingface.co/{model_id}"
    if has_token:
        return WeightsError(
            f"{model_id} is gated, and the account of your token has no access to it, or not yet",
            next_step=f"ask for access on {page}; a fine-grained token must also be allowed gated repositories",
        )
    return WeightsError(
        f"{model_id} is gated: its owners grant access account by account, and no token was given",
        next_step=f"ask for access on {page}, then set HF_TOKEN to a token of that account from {_TOKENS}",
    )


def unknown_repository(model_id: str, *, has_token: bool) -> WeightsError:
    """The hub says the same of a repository that is private and of one that does not exist."""
    whose = "that your token may read" if has_token else "that may be read without a token"
    return WeightsError(
        f"the hub has no repository {model_id!r} {whose}; it says the same of a private one",
        next_step="check the spelling of model.id (owner/name); for a private repository, set HF_TOKEN to a token that "
        "may read it",
    )


def unknown_revision(model_id: str, revision: str) -> WeightsError:
    """The repository is there, and the branch, tag or commit is not."""
    return WeightsError(
        f"{model_id} has no revision {revision!r}: no branch, tag or commit of that name",
        next_step=f"see https://huggingface.co/{model_id}/tree/main for its branches, or leave the revision out",
    )


def no_such_file(model_id: str, revision: str, path: str | None) -> WeightsError:
    """A file is not at this revision."""
    return WeightsError(
        f"{path or 'a file'}, which an engine needs, is not in {model_id} at {revision}",
        next_step="choose another repository or revision",
    )


def bad_model_id(model_id: str) -> WeightsError:
    """No repository can be called so."""
    return WeightsError(
        f"{model_id!r} cannot be the name of a repository", next_step="write it as owner/name, as on huggingface.co"
    )


def wrong_token() -> WeightsError:
    """The hub does not know the token."""
    return WeightsError(
        "the hub refuses your token: it is wrong, or was revoked",
        next_step=f"make a new one at {_TOKENS} and set HF_TOKEN, or log in again with: hf auth login",
    )


def unusable_token(source: str) -> WeightsError:
    """What should be a token can not be sent as one."""
    return WeightsError(
        f"what {source} holds is not a token: tokens are one line of plain letters and digits",
        next_step=f"copy the token again from {_TOKENS}",
    )


def forbidden(model_id: str) -> WeightsError:
    """The token is known and may not do this."""
    return WeightsError(
        f"your token may not read {model_id}",
        next_step=f"give it the permission to read this repository at {_TOKENS}",
    )


def rate_limited(endpoint: str, *, has_token: bool) -> HubUnreachableError:
    """Too many requests from this address or account."""
    return HubUnreachableError(
        f"{shown(endpoint)} answers that there were too many requests from here",
        next_step="wait some minutes and try again" + ("" if has_token else "; with HF_TOKEN set, the limit is higher"),
    )


def unreachable(endpoint: str, reason: str) -> HubUnreachableError:
    """Nobody answers, or the answer broke off."""
    return HubUnreachableError(
        f"{shown(endpoint)} cannot be reached, or the connection broke: {reason}",
        next_step="check the network (HTTPS_PROXY for a proxy, HF_ENDPOINT for a mirror) and run it again: what came "
        "so far is kept",
    )


def offline() -> HubUnreachableError:
    """The user said so."""
    return HubUnreachableError(
        "the weights are not all in the cache, and HF_HUB_OFFLINE forbids to ask the hub",
        next_step="unset HF_HUB_OFFLINE, or bring the weights into the cache on a machine with network",
    )


def not_a_hub(endpoint: str, reason: str) -> WeightsError:
    """Something answers there, and not as a hub does."""
    return WeightsError(
        f"{shown(endpoint)} does not answer as a hub does: {reason}",
        next_step="check HF_ENDPOINT, and whether a proxy or a login page stands between",
    )


def refused(endpoint: str, status: int, said: str) -> WeightsError:
    """An answer that has no better explanation."""
    return WeightsError(
        f"{shown(endpoint)} refuses with status {status}",
        next_step="the line above is the hub's own; https://status.huggingface.co tells of outages",
        evidence=(said,) if said else (),
    )


def disk_too_small(folder: Path, *, needed_bytes: int, free_bytes: int) -> WeightsError:
    """Found before anything is fetched."""
    return WeightsError(
        f"the weights need {size(needed_bytes)} more, and {folder} has {size(free_bytes)} free",
        next_step="free some space there, or set HF_HUB_CACHE to a folder on a larger disk",
    )


def disk(error: OSError, folder: Path) -> WeightsError:
    """The disk does not take what came."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return WeightsError(
            f"the disk of {folder} is full",
            next_step="free some space there and run it again (what came so far is kept), or set HF_HUB_CACHE to a "
            "folder on a larger disk",
        )
    if error.errno == errno.EFBIG:
        return WeightsError(
            f"the weights cannot be written below {folder}: a file would be larger than is allowed here",
            next_step="raise this user's limit (ulimit -f unlimited), or set HF_HUB_CACHE to a folder on a disk that "
            "takes files of this size",
        )
    return WeightsError(
        f"the weights cannot be written below {folder}: {error.strerror or error}",
        next_step="give this user the folder, or set HF_HUB_CACHE to another",
    )


def archive_disk_too_small(target: Path, *, needed_bytes: int, image_bytes: int, free_bytes: int) -> WeightsError:
    """Found before anything is written."""
    images = f", {size(image_bytes)} of it images" if image_bytes else ""
    return WeightsError(
        f"the archive takes about {size(needed_bytes)}{images}, and the disk of {target} has {size(free_bytes)} free",
        next_step="name a file on a larger disk" + ("; --without-images leaves the images out" if images else ""),
    )


def archive_disk(error: OSError, target: Path) -> WeightsError:
    """The disk does not take the archive; what was written of it has been removed."""
    why = "its disk is full" if error.errno in {errno.ENOSPC, errno.EDQUOT} else error.strerror or str(error)
    return WeightsError(
        f"{target} cannot be written: {why}", next_step="name a file on another disk, or in your folder"
    )


def foreign_archive(path: Path) -> WeightsError:
    """Somebody else's file."""
    return WeightsError(
        f"{path} is not an archive that `scout-deploy pull --export` of this version wrote",
        next_step="name the file that it wrote",
    )


def truncated_archive(path: Path) -> WeightsError:
    """Ours, and its end is missing."""
    return WeightsError(
        f"{path} is not whole: its end is missing", next_step="copy it again, and compare the sizes of both files"
    )


def damaged_archive(path: Path, member: str) -> WeightsError:
    """Ours, and changed on its way."""
    return WeightsError(
        f"{member} in {path} is damaged: its checksum is another", next_step="copy the archive again, or write it anew"
    )


def not_as_published(path: str, what: str) -> WeightsError:
    """What came is not what the hub announced; it has been removed."""
    return WeightsError(
        f"{path} came with another {what} than the hub announces, and was removed",
        next_step="run it again; if it happens again, the mirror, the proxy or the disk changes what passes through it",
    )


def size(number_bytes: int) -> str:
    """Return a number of bytes in the unit that suits it."""
    number = float(number_bytes)
    for unit in ("bytes", "kB", "MB"):
        if number < _STEP:
            return f"{number:.0f} {unit}"
        number /= _STEP
    return f"{number:.1f} GB"
