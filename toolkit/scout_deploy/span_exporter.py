"""Whether OpenTelemetry's exporter of spans is installed, for a proxy that runs here. The proxy's image has it."""

from importlib.util import find_spec

from scout_deploy.errors import ExtraMissingError
from scout_deploy.profile.profile import Profile

_EXPORTER = "opentelemetry.exporter.otlp.proto.http"


def require_span_exporter(profile: Profile) -> None:
    """Check that it is installed where the profile says where spans go, without loading it.

    Raises:
        ExtraMissingError: It is not.
    """
    if profile.proxy.tracing.endpoint is not None and not _is_installed():
        raise ExtraMissingError(
            "proxy/tracing/endpoint is set, and what makes spans is not installed (the packages of OpenTelemetry are "
            "missing)",
            next_step="pip install 'scout-deploy[otel]'",
        )


def _is_installed() -> bool:
    try:
        return find_spec(_EXPORTER) is not None
    except ModuleNotFoundError:
        # A package above it.
        return False
