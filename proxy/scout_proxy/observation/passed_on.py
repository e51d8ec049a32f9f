"""What an engine is told of the request that it works for: its id and its place in a trace, and nothing else of it."""

from scout_proxy.caller import Caller
from scout_proxy.http.request_id import HEADER
from scout_proxy.observation.trace_context import RawHeaders, read_trace_context


def passed_on(caller: Caller, headers: RawHeaders) -> dict[str, str]:
    """Return the headers for the engine.

    Args:
        headers: The client's.
    """
    trace = read_trace_context(headers) if caller.record is None else caller.record.trace
    passed = {HEADER: caller.request_id} if caller.request_id else {}
    return passed if trace is None else {**passed, **trace.headers()}
