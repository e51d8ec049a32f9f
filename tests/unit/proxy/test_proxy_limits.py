import json
import threading

import pytest
import requests

from fakes.fake_engine import FakeEngine
from fakes.running_proxy import DEADLINE_S, RunningProxy, read_answer, read_to_end, wait_until

HEAD = b"POST /generate HTTP/1.1\r\nHost: x\r\n"


def detail_of(answer: bytes) -> str:
    detail: str = json.loads(answer.split(b"\r\n\r\n", 1)[1])["detail"]
    return detail


@pytest.mark.parametrize("close", [False, True])
def test_a_body_over_the_limit_is_a_readable_413(proxy: RunningProxy, engine: FakeEngine, *, close: bool) -> None:
    headers = {"Connection": "close"} if close else {}

    answer = proxy.post(data=b'{"prompt": "' + b"x" * 10_000_000 + b'"}', headers=headers)

    assert answer.status_code == 413
    assert answer.json() == {"detail": "Request body larger than the limit of 2000000 bytes"}
    assert engine.seen.generations == []


def test_a_chunked_body_over_the_limit_is_a_readable_413(proxy: RunningProxy) -> None:
    answer = proxy.post(data=(b"x" * 100_000 for _ in range(50)))

    assert answer.status_code == 413


def test_a_client_that_waits_to_be_asked_gets_its_413_without_sending(proxy: RunningProxy) -> None:
    connection = proxy.connect()
    connection.sendall(HEAD + b"Content-Length: 9000000000\r\nExpect: 100-continue\r\n\r\n")

    assert read_answer(connection).startswith(b"HTTP/1.1 413 ")
    connection.close()


def test_a_body_at_the_limit_is_taken(proxy: RunningProxy) -> None:
    body = json.dumps({"prompt": "p"}).encode()
    proxy.limit(max_body_bytes=len(body))

    assert proxy.post(data=body).status_code == 200
    assert proxy.post(data=body + b" ").status_code == 413


def test_a_body_that_does_not_arrive_is_a_408(proxy: RunningProxy) -> None:
    proxy.limit(body_timeout_s=0.1)
    connection = proxy.connect()
    connection.sendall(HEAD + b'Content-Length: 100\r\n\r\n{"prompt"')

    answer = read_to_end(connection)

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert detail_of(answer) == "The request body did not arrive within 0.1 s"


def test_a_head_that_does_not_end_is_a_408(proxy: RunningProxy) -> None:
    # Time enough to begin one, also on a busy machine: who has said nothing by then is closed without a word.
    proxy.limit(header_timeout_s=1.5)
    connection = proxy.connect()
    connection.sendall(HEAD)

    answer = read_to_end(connection)

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"x-request-id: " in answer
    assert "head did not arrive" in detail_of(answer)


def test_a_second_head_on_a_connection_has_its_own_time(proxy: RunningProxy) -> None:
    connection = proxy.connect()
    connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
    assert read_answer(connection).startswith(b"HTTP/1.1 200 ")

    proxy.limit(header_timeout_s=0.1)
    connection.sendall(b"GET /hea")

    assert read_to_end(connection).startswith(b"HTTP/1.1 408 ")


def test_a_connection_that_says_nothing_is_closed(proxy: RunningProxy) -> None:
    proxy.limit(header_timeout_s=0.1)

    assert read_to_end(proxy.connect()) == b""


def test_a_head_without_end_is_a_readable_431(proxy: RunningProxy) -> None:
    connection = proxy.connect()
    connection.sendall(HEAD)
    for _ in range(50):
        connection.sendall(b"X-Filler: " + b"x" * 8_000 + b"\r\n")

    assert read_to_end(connection).startswith(b"HTTP/1.1 431 ")


def test_what_is_not_http_is_a_400_in_the_usual_shape(proxy: RunningProxy) -> None:
    connection = proxy.connect()
    connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n")

    answer = read_to_end(connection)

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert detail_of(answer)


def test_pipelined_requests_are_answered_in_order(proxy: RunningProxy) -> None:
    connection = proxy.connect()
    body = b'{"prompt": "p"}'
    connection.sendall(proxy.raw_generate(body) + b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

    answers = read_to_end(connection)

    assert answers.index(b"generated_texts") < answers.index(b"healthy")


def test_two_hundred_slow_clients_do_not_keep_others_waiting(proxy: RunningProxy) -> None:
    slow = [proxy.connect() for _ in range(200)]
    for number, connection in enumerate(slow):
        connection.sendall(HEAD[: 10 + number % 20] if number % 2 else HEAD + b"Content-Length: 50\r\n\r\n{")

    assert proxy.generate().status_code == 200
    assert proxy.get("/health").status_code == 200
    proxy.limit(header_timeout_s=0.1, body_timeout_s=0.1)
    for connection in slow:
        connection.close()
    wait_until(lambda: not proxy.server.server_state.tasks, "nothing is left of the slow clients")


def test_a_large_prompt_does_not_keep_others_waiting(proxy: RunningProxy) -> None:
    body = json.dumps({"prompt": "<|im_start|>" * 150_000}).encode()
    proxy.use_template(chat_template="{{ messages[0].content }}", special_tokens=("<|im_start|>", "<|im_end|>"))
    large = threading.Thread(target=lambda: proxy.post(data=body))
    large.start()

    # A time that grows with the square of the prompt would be minutes.
    assert proxy.get("/health").status_code == 200
    large.join(DEADLINE_S)
    assert not large.is_alive()


@pytest.mark.parametrize("path", ["/", "/health", "/generate", "/nope"])
def test_a_refused_route_leaves_the_connection_usable(proxy: RunningProxy, path: str) -> None:
    with requests.Session() as session:
        first = session.put(proxy.url + path, data=b"x" * 3_000_000, timeout=DEADLINE_S)
        second = session.get(proxy.url + "/health", timeout=DEADLINE_S)

    assert first.status_code in {404, 405}
    assert list(first.json()) == ["detail"]
    assert second.status_code == 200
