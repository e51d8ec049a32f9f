import threading

import pytest

from fakes.engine_waits import Gate
from fakes.fake_engine import Behaviour, Failure, FakeEngine
from fakes.raw_http import RawConnection, generate_request
from fakes.running_proxy import DEADLINE_S, RunningProxy, wait_until

NOT_LOADED = {"detail": "Model or tokenizer not loaded"}


def test_the_answer_has_exactly_the_documented_body(proxy: RunningProxy) -> None:
    answer = proxy.generate(prompt="写一首诗", max_length=16)

    assert answer.status_code == 200
    body = answer.json()
    assert list(body) == ["generated_texts", "parameters"]
    assert body["parameters"] == {
        "prompt": "写一首诗",
        "max_length": 16,
        "temperature": 0.7,
        "top_p": 0.9,
        "top_k": 50,
        "num_return_sequences": 1,
    }
    assert list(body["parameters"]) == [
        "prompt",
        "max_length",
        "temperature",
        "top_p",
        "top_k",
        "num_return_sequences",
    ]
    assert len(body["generated_texts"]) == 1


def test_sequences_are_asked_for_at_once_with_distinct_seeds(
    proxy: RunningProxy, engine: FakeEngine, gate: Gate
) -> None:
    engine.behaviour = Behaviour(gate=gate)
    with RawConnection(proxy.port) as connection:
        connection.send(generate_request(b'{"prompt": "p", "num_return_sequences": 4}'))
        wait_until(lambda: engine.seen.in_flight == 4, "all four are generated")
        gate.open()
        texts = connection.answer().json()["generated_texts"]

    assert len(set(texts)) == 4
    assert len({sent["parameters"]["seed"] for sent in engine.seen.generations}) == 4


def test_greedy_sequences_are_computed_once(proxy: RunningProxy, engine: FakeEngine) -> None:
    texts = proxy.generate(num_return_sequences=3, temperature=0).json()["generated_texts"]

    assert texts == ["text None"] * 3
    assert len(engine.seen.generations) == 1


def test_one_failing_sequence_fails_the_request_and_cancels_the_others(
    proxy: RunningProxy, engine: FakeEngine, gate: Gate
) -> None:
    engine.behaviour = Behaviour(gate=gate, failure=Failure.GENERATION, proof_failure=Failure.NONE)
    with RawConnection(proxy.port) as connection:
        connection.send(generate_request(b'{"prompt": "p", "num_return_sequences": 3}'))
        wait_until(lambda: engine.seen.in_flight == 3, "all three are generated")
        gate.let(1)
        answer = connection.answer()

    assert answer.status == 500
    assert answer.json() == {"detail": "Generation failed: Request failed during generation: CUDA out of memory"}
    wait_until(lambda: engine.seen.cancelled == 2, "the two others are cancelled")


def test_a_client_that_leaves_cancels_the_generation(proxy: RunningProxy, engine: FakeEngine) -> None:
    engine.behaviour = Behaviour(delay_s=30)
    connection = proxy.connect()
    connection.sendall(proxy.raw_generate(b'{"prompt": "p", "num_return_sequences": 2}'))
    wait_until(lambda: engine.seen.in_flight == 2, "both sequences are in flight")

    connection.close()

    wait_until(lambda: engine.seen.cancelled == 2, "both sequences are cancelled")
    wait_until(lambda: proxy.status()["in_flight"] == 0, "nothing is in flight")
    wait_until(
        lambda: 'scout_proxy_requests_total{route="/generate",status="499"}' in proxy.get("/metrics").text,
        "the request is counted as left by its client",
    )


def test_the_deadline_is_a_504_and_cancels_the_generation(proxy: RunningProxy, engine: FakeEngine) -> None:
    # Time enough for the request to reach the engine, also on a busy machine.
    proxy.limit(deadline_s=1)
    engine.behaviour = Behaviour(delay_s=30)

    answer = proxy.generate()

    assert answer.status_code == 504
    assert answer.json()["detail"].startswith("The deadline of 1 s passed")
    wait_until(lambda: engine.seen.cancelled == 1, "the generation is cancelled")


@pytest.mark.parametrize(
    ("failure", "status", "detail"),
    [
        (Failure.GENERATION, 500, "Generation failed: Request failed during generation: CUDA out of memory"),
        (Failure.UNAUTHORIZED, 500, "Generation failed: the engine answered 401: status 401 without a reason"),
        (Failure.GARBAGE, 500, None),
        (Failure.NOT_HTTP, 500, None),
        (Failure.NO_TEXT, 500, "Generation failed: the engine's answer has no generated_text"),
        (Failure.TRUNCATED, 500, "Generation failed: the engine's answer ended too early"),
        (Failure.CLOSED, 503, "Model or tokenizer not loaded"),
        (Failure.UNHEALTHY, 503, "Model or tokenizer not loaded"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_an_engines_failure_has_its_documented_answer(
    proxy: RunningProxy, engine: FakeEngine, failure: Failure, status: int, detail: str | None
) -> None:
    engine.behaviour = Behaviour(failure=failure)

    answer = proxy.generate()

    assert answer.status_code == status
    assert list(answer.json()) == ["detail"]
    assert detail is None or answer.json() == {"detail": detail}
    if status == 500:
        assert answer.json()["detail"].startswith("Generation failed: ")
    assert ("Retry-After" in answer.headers) is (status == 503)


def test_an_engines_address_is_not_told_to_clients(proxy: RunningProxy, engine: FakeEngine) -> None:
    engine.behaviour = Behaviour(failure=Failure.NOT_HTTP)

    detail = proxy.generate().json()["detail"]

    assert "SSH-2.0" in detail
    assert "127.0.0.1" not in detail


def test_what_the_engine_refuses_is_a_422_in_the_usual_shape(proxy: RunningProxy, engine: FakeEngine) -> None:
    engine.behaviour = Behaviour(failure=Failure.VALIDATION)

    answer = proxy.generate()

    assert answer.status_code == 422
    assert answer.json() == {
        "detail": [{"type": "engine_validation", "loc": ["body"], "msg": "Input validation error: `x` must be y"}]
    }


def test_a_prompt_that_surely_fits_is_not_counted(proxy: RunningProxy, engine: FakeEngine) -> None:
    assert proxy.generate(prompt="x" * 508, max_length=512).status_code == 200

    assert engine.seen.tokenized == []
    assert engine.seen.generations[0]["parameters"]["max_new_tokens"] == 512


def test_max_length_is_cut_to_what_is_left(proxy: RunningProxy, engine: FakeEngine) -> None:
    answer = proxy.generate(prompt="one two three", max_length=100_000)

    assert answer.status_code == 200
    assert answer.json()["parameters"]["max_length"] == 100_000
    assert engine.seen.tokenized == ["one two three"]
    assert engine.seen.generations[0]["parameters"]["max_new_tokens"] == 1024 - 4


def test_the_last_token_of_room_is_used(proxy: RunningProxy, engine: FakeEngine) -> None:
    assert proxy.generate(prompt="word " * 1022).status_code == 200

    assert engine.seen.generations[0]["parameters"]["max_new_tokens"] == 1


def test_a_prompt_that_leaves_no_room_names_its_tokens_and_the_limit(proxy: RunningProxy, engine: FakeEngine) -> None:
    answer = proxy.generate(prompt="word " * 1023)

    assert answer.status_code == 422
    (item,) = answer.json()["detail"]
    assert item["loc"] == ["body", "prompt"]
    assert "1024 tokens" in item["msg"]
    assert "1023" in item["msg"]
    assert engine.seen.generations == []


def test_the_template_of_the_table_is_applied_and_the_prompt_echoed(proxy: RunningProxy, engine: FakeEngine) -> None:
    proxy.use_template(chat_template="{% for m in messages %}[{{ m.role }}] {{ m.content }} {% endfor %}[answer]")

    answer = proxy.generate(prompt="hello")

    assert answer.json()["parameters"]["prompt"] == "hello"
    assert engine.seen.generations[0]["inputs"] == "[user] hello [answer]"


def test_twenty_clients_are_served_at_once(proxy: RunningProxy, engine: FakeEngine, gate: Gate) -> None:
    engine.behaviour = Behaviour(gate=gate)
    answers: list[int] = []
    clients = [threading.Thread(target=lambda: answers.append(proxy.generate().status_code)) for _ in range(20)]
    for client in clients:
        client.start()
    wait_until(lambda: engine.seen.in_flight == 20, "all twenty are generated")
    gate.open()
    for client in clients:
        client.join(DEADLINE_S)

    assert answers == [200] * 20
