"""Which shipped profile comes nearest to one that TGI would not do."""

from collections.abc import Sequence
from dataclasses import dataclass

from scout_deploy.model_facts import ModelFacts
from scout_deploy.profile.profile import Profile
from scout_deploy.profile.settings import flatten_settings


@dataclass(frozen=True, kw_only=True)
class Shipped:
    """A shipped profile, and what is known of its model."""

    name: str
    profile: Profile
    facts: ModelFacts


def nearest(wanted: Profile, facts: ModelFacts, shipped: Sequence[Shipped]) -> Shipped | None:
    """Return the nearest of these profiles for a model of the same architecture; None where there is none.

    The same kind of GPU counts most, then their number, then how few settings differ.
    """
    same = [one for one in shipped if one.facts.architecture == facts.architecture]
    return min(same, key=lambda one: _distance(wanted, one.profile), default=None)


def _distance(wanted: Profile, other: Profile) -> tuple[bool, int, int]:
    hardware, theirs = wanted.hardware, other.hardware
    ours, others = flatten_settings(wanted, ""), flatten_settings(other, "")
    changes = sum(ours.get(key) != others.get(key) for key in ours.keys() | others.keys())
    return (
        (hardware.gpu_kind or "").lower() != (theirs.gpu_kind or "").lower(),
        abs((hardware.gpu_count or 1) - (theirs.gpu_count or 1)),
        changes,
    )
