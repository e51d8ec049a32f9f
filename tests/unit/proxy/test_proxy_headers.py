"""What of a request's headers goes on to the engine, and what comes back: its id and its trace, and nothing else."""

import pytest

from fakes.every_way import WAYS, Way
from fakes.fake_engine import FakeEngine
from fakes.running_proxy import RunningProxy, read_answer, read_to_end

OWN = {"host", "accept-encoding", "content-type", "content-length", "x-request-id", "traceparent"}
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
# RFC 9110 §7.6.1, what browsers and proxies add, and what is between a client and this proxy alone.
SENT = (
    "Connection: keep-alive, X-Hop",
    "X-Hop: 1",
    "Keep-Alive: timeout=5",
    "Proxy-Connection: keep-alive",
    "Proxy-Authorization: Basic eDp5",
    "TE: trailers",
    "Trailer: X-Hop",
    "Upgrade: websocket",
    "Authorization: Bearer secret",
    "Cookie: a=b",
    "X-Forwarded-For: 192.0.2.1",
    "Forwarded: for=192.0.2.1",
    "Accept-Encoding: gzip",
    "X-HTTP-Method-Override: DELETE",
    "X-Anything: 1",
    f"traceparent: {TRACE}",
)


def sent_on(engine: FakeEngine) -> dict[str, str]:
    """Return the headers of the last request that the engine got."""
    _, *lines = engine.seen.heads[-1].strip().split("\r\n")
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_what_is_between_the_client_and_the_proxy_stays_there(
    proxy: RunningProxy, engine: FakeEngine, way: Way
) -> None:
    with proxy.send(way.with_body(way.content, *SENT, "X-Request-ID: my-id", "Connection: close")) as client:
        answer = read_to_end(client)

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert sent_on(engine).keys() == OWN
    assert sent_on(engine)["accept-encoding"] == "identity"
    assert sent_on(engine)["x-request-id"] == "my-id"
    # The trace goes on; where spans are made, as a child of the client's.
    assert sent_on(engine)["traceparent"].startswith(TRACE[:35])
    head = answer.partition(b"\r\n\r\n")[0].lower().split(b"\r\n")[1:]
    assert b"x-request-id: my-id" in head
    names = {line.partition(b":")[0] for line in head}
    assert not names & {b"keep-alive", b"upgrade", b"set-cookie", b"x-hop", b"te", b"trailer", b"traceparent"}


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("sent", ["", "two words", "x" * 129, "\xff", "a,b", '"a"'], ids=repr)
def test_an_id_that_is_none_is_replaced_everywhere(
    proxy: RunningProxy, engine: FakeEngine, way: Way, sent: str
) -> None:
    request = way.with_body(way.content).replace(b"Host: x", b"Host: x\r\nX-Request-ID: " + sent.encode("latin-1"))
    with proxy.send(request.replace(b"Host: x", b"Host: x\r\nConnection: close")) as client:
        answer = read_to_end(client)

    own = sent_on(engine)["x-request-id"]
    assert own != sent
    assert len(own) == 32
    assert f"\r\nx-request-id: {own}".encode() in answer.lower()


def test_a_client_that_asks_first_is_told_to_go_on_and_answered(proxy: RunningProxy) -> None:
    for way in WAYS[::2]:
        with proxy.send(way.with_body(b"", "Expect: 100-continue").replace(b"Length: 0", b"Length: 1")) as client:
            asked = b""
            while not asked.endswith(b"\r\n\r\n"):
                asked += client.recv(1)
            client.sendall(b"{")

            assert asked == b"HTTP/1.1 100 Continue\r\n\r\n"
            assert read_answer(client).startswith(b"HTTP/1.1 %d " % way.status(422))
