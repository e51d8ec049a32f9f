"""What a profile of containers means now: asked of the hub, the Docker host and the image's registry."""

from scout_deploy.cli.context import container_runtime
from scout_deploy.cli.up_containers import preparation
from scout_deploy.cli.weights_source import own_hub, weights_source
from scout_deploy.container_draft import Wish, refuse_what_cannot_work
from scout_deploy.errors import ImageError
from scout_deploy.profile_lock.document import LockedImage, LockedModel
from scout_deploy.runtimes.images import PullRefusedError
from scout_deploy.weights.failures import HubUnreachableError
from scout_deploy.weights.repository import DEFAULT_REVISION


def locked_commit(wish: Wish) -> LockedModel:
    """Return the commit that the model's revision is now; without network, what it was when it was last fetched.

    Raises:
        WeightsError: There is no such model, or nobody can be asked and it was never fetched.
    """
    hub = own_hub()
    model_id, revision = wish.profile.model.id or "", wish.profile.model.revision or DEFAULT_REVISION
    try:
        return LockedModel(commit=hub.resolve(model_id, revision).commit)
    except HubUnreachableError:
        cached = hub.find_cached(model_id, revision)
        if cached is None:
            raise
        return LockedModel(commit=cached.name)


def locked_image(wish: Wish) -> LockedImage:
    """Return what the engine's image means on the Docker host, or else in its registry. Nothing is pulled.

    Raises:
        ImageError: Neither has it.
        DockerUnavailableError: No daemon answers.
    """
    runtime = container_runtime()
    try:
        prepared = preparation(runtime, wish)
        source = weights_source(wish, lambda: runtime.engine, is_local=runtime.engine.address.is_local, ask_hub=False)
        reference = refuse_what_cannot_work(wish, prepared.adapter, source.expect()).engines[0].image
        digest = prepared.images.find_digest(reference)
        return LockedImage(reference=reference, digest=digest, id=prepared.images.id_of(digest) or None)
    except PullRefusedError as exc:
        raise ImageError(
            f"what {exc.reference} is now cannot be found out: {exc}",
            next_step=f"docker pull {exc.reference} on the Docker host, then lock again",
        ) from exc
    finally:
        runtime.engine.close()
