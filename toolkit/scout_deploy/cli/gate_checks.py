"""What `up --gate` needs before anything is loaded that measures: most starts have no gate."""

from scout_deploy.errors import DeployError, ProfileError
from scout_deploy.profile.profile import Profile
from scout_deploy.runtimes.docker_address import DockerAddress


def check_gate(profile: Profile, *, is_asked: bool, in_containers: bool, may_replace: bool) -> None:
    """Check that there is something to measure, and something to hold it against.

    Args:
        is_asked: By `--gate` itself, and not by an option of its own alone.

    Raises:
        ProfileError: There is not.
    """
    if not is_asked:
        raise ProfileError(
            "--gate-duration says how long --gate measures, and --gate is not there",
            next_step="scout-deploy up --replace --gate --gate-duration S",
        )
    if not may_replace:
        raise ProfileError(
            "--gate measures new engines before they take the place of the old ones, which --replace allows",
            next_step="scout-deploy up --replace --gate",
        )
    if not in_containers:
        raise ProfileError(
            "--gate is for engines in containers: as a local process there is one engine, which is not exchanged",
            next_step="scout-deploy bench measures what runs",
        )
    if not profile.service_level.is_set:
        raise ProfileError(
            "--gate holds new engines against the profile's service level, and the profile has none",
            next_step="service_level/ttft_p99_ms and the like in the profile, or --set service_level.ttft_p99_ms=MS",
        )


def check_reach(address: DockerAddress) -> None:
    """Check that this machine reaches the API's port.

    Raises:
        DeployError: It may not.
    """
    if not address.is_local:
        raise DeployError(
            f"--gate measures through the API's port, and the Docker daemon is on another machine ({address.url})",
            next_step="the same command on that machine, or without --gate and scout-deploy bench --url afterwards",
        )
