"""The rules of https://www.w3.org/TR/trace-context/, and the cases of its own test suite."""

import pytest

from scout_proxy.observation.trace_context import TraceContext, parse_trace_context, read_trace_context

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"


def test_a_context_is_passed_on_as_it_came() -> None:
    context = parse_trace_context(PARENT, "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE")

    assert context == TraceContext(
        trace_id=TRACE, span_id=SPAN, flags=1, state="rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"
    )
    assert context.is_sampled
    assert context.headers() == {"traceparent": PARENT, "tracestate": "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"}


def test_without_a_state_there_is_no_header_of_it() -> None:
    context = parse_trace_context(PARENT)

    assert context is not None
    assert context.headers() == {"traceparent": PARENT}


@pytest.mark.parametrize(
    ("sent", "passed_on"),
    [
        (f"00-{TRACE}-{SPAN}-00", f"00-{TRACE}-{SPAN}-00"),
        (f"00-{TRACE}-{SPAN}-03", f"00-{TRACE}-{SPAN}-03"),
        (f"00-{TRACE}-{SPAN}-ff", f"00-{TRACE}-{SPAN}-03"),
        (f"cc-{TRACE}-{SPAN}-01", PARENT),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like", PARENT),
        (f"cc-{TRACE}-{SPAN}-01-", PARENT),
    ],
)
def test_only_what_version_00_knows_is_passed_on(sent: str, passed_on: str) -> None:
    context = parse_trace_context(sent)

    assert context is not None
    assert context.headers()["traceparent"] == passed_on


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "00",
        PARENT.upper(),
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-",
        f"00-{TRACE}-{SPAN}-01-what",
        f"cc-{TRACE}-{SPAN}-01.what",
        f"0-{TRACE}-{SPAN}-01",
        f"00-{TRACE[1:]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}0-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-.0",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{'.' * 32}-{SPAN}-01",
        f" {PARENT}",
        f"{PARENT}\n",
        f"cc-{TRACE}-{SPAN}-01-\r\nX-Evil: 1",
        f"00-{TRACE}-{SPAN}-\u0660\u0661",
    ],
)
def test_what_is_not_valid_is_no_context(sent: str) -> None:
    assert parse_trace_context(sent, "a=b") is None


@pytest.mark.parametrize(
    ("sent", "passed_on"),
    [
        ("a=1", "a=1"),
        (" a=1 ,\tb=2\t", "a=1,b=2"),
        ("a=1,,b=2,", "a=1,b=2"),
        ("tenant@vendor=x", "tenant@vendor=x"),
        ("0a=1", "0a=1"),
        ("a= spaced out", "a= spaced out"),
        (f"{'k' * 256}={'v' * 256}", f"{'k' * 256}={'v' * 256}"),
        (",".join(f"k{number}=v" for number in range(32)), ",".join(f"k{number}=v" for number in range(32))),
        (",".join(f"k{number}=v" for number in range(33)), ""),
        ("a=1,a=2", ""),
        ("A=1", ""),
        ("a=", ""),
        ("a=b=c", ""),
        ("a", ""),
        ("=1", ""),
        ("a =1", ""),
        ("@v=1", ""),
        ("a@b@c=1", ""),
        (f"{'k' * 257}=v", ""),
        (f"k={'v' * 257}", ""),
        ("a=\x7f", ""),
        ("a=\u00e9", ""),
        ("a=1\r\nX-Evil: 1", ""),
    ],
)
def test_a_state_that_is_not_valid_is_left_out(sent: str, passed_on: str) -> None:
    context = parse_trace_context(PARENT, sent)

    assert context is not None
    assert context.state == passed_on


def test_the_headers_of_a_request_are_read_together() -> None:
    context = read_trace_context(
        [(b"host", b"x"), (b"tracestate", b"a=1"), (b"traceparent", PARENT.encode()), (b"tracestate", b"b=2")]
    )

    assert context is not None
    assert context.state == "a=1,b=2"
    assert context.trace_id == TRACE


def test_no_parent_or_two_are_no_context() -> None:
    parent = (b"traceparent", PARENT.encode())

    assert read_trace_context([(b"tracestate", b"a=1")]) is None
    assert read_trace_context([parent, parent]) is None
    assert read_trace_context([(b"traceparent", PARENT.encode() + b"\xff")]) is None


def test_a_child_keeps_the_trace_and_says_whether_it_is_recorded() -> None:
    context = parse_trace_context(f"00-{TRACE}-{SPAN}-03", "a=1")
    assert context is not None

    child = context.child("00f067aa0ba902b7", is_sampled=False)

    assert child.headers() == {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-02", "tracestate": "a=1"}
    assert child.child(SPAN, is_sampled=True) == context
