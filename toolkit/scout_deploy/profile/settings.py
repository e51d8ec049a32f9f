"""A resolved profile as flat text, so that two of them can be compared and kept in a label."""

from scout_deploy.profile.profile import Profile


def flatten_settings(profile: Profile, version: str) -> dict[str, str]:
    """Return `section/key: value` of everything that is set, descriptions left out.

    Args:
        version: The product's, so that an upgrade is seen as a change.
    """
    flat = {"scout-deploy/version": version}

    def add(prefix: str, value: object) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                add(f"{prefix}/{key}" if prefix else key, inner)
        elif value is not None:
            flat[prefix] = str(value)

    add("", profile.model_dump(mode="json", exclude={"description"}))
    return flat
