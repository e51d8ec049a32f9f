import asyncio
from collections.abc import Mapping

import pytest
from starlette.types import Receive, Scope, Send

from fakes.api_keys import ALICE, BOB, api_key, api_keys, bearer
from fakes.asgi_client import Answer, ask
from fakes.running_proxy import route_table
from scout_proxy.access.gate import Gate, GateMiddleware
from scout_proxy.route_table import Cors, Keys

PAGE = {"Origin": "https://chat.example"}
QUESTION = {**PAGE, "Access-Control-Request-Method": "POST"}


class Door:
    """A gate before an application that says whose key it was let in with."""

    def __init__(self, keys: Keys | None = None, cors: Cors | None = None) -> None:
        self.table = route_table(keys=keys, cors=cors or Cors())
        self.gate = Gate(lambda: self.table)
        self.seen: list[str] = []
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.app = GateMiddleware(self._serve, self.gate)

    def change(self, keys: Keys | None) -> None:
        self.table = route_table(keys=keys)

    async def ask(self, method: str, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        return await ask(self.app, method, path, headers)

    def get(self, method: str, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        return asyncio.run(self.ask(method, path, headers))

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        del receive
        self.seen.append(scope["state"]["key_id"])
        await self.may_end.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-cache", b"MISS")]})
        await send({"type": "http.response.body", "body": b"served"})


def test_without_keys_all_is_open() -> None:
    door = Door()

    assert door.get("POST", "/generate").body == b"served"
    assert door.get("POST", "/generate", bearer("any-key-at-all")).body == b"served"
    assert door.seen == ["", ""]


def test_a_known_key_is_let_in_by_its_name() -> None:
    door = Door(api_keys())

    assert door.get("POST", "/generate", bearer(ALICE)).status == 200
    assert door.get("GET", "/v1/models", bearer(BOB)).status == 200
    assert door.seen == ["alice", "bob"]


def test_open_paths_need_no_key_and_no_right_one() -> None:
    door = Door(api_keys())

    assert door.get("GET", "/health").status == 200
    assert door.get("GET", "/", bearer("wrong")).status == 200
    assert door.seen == ["", ""]


def test_the_refusal_has_the_form_of_the_documented_routes() -> None:
    door = Door(api_keys())

    answer = door.get("POST", "/generate")

    assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-length"] == str(len(answer.body))
    assert answer.json() == {"detail": "An API key is needed; send it as `Authorization: Bearer <key>`"}
    assert door.seen == []


@pytest.mark.parametrize("path", ["/", "/generate_stream"])
def test_the_refusal_has_the_form_of_the_native_routes(path: str) -> None:
    answer = Door(api_keys()).get("POST", path)

    assert answer.status == 401
    assert answer.json() == {
        "error": "An API key is needed; send it as `Authorization: Bearer <key>`",
        "error_type": "unknown",
    }


def test_the_refusal_has_the_form_of_the_openai_routes() -> None:
    answer = Door(api_keys()).get("POST", "/v1/chat/completions", bearer("wrong-key"))

    assert answer.status == 401
    assert answer.json() == {
        "error": {
            "message": "The API key is not one of this service; ask whoever runs it for one",
            "type": "invalid_request_error",
            "param": None,
            "code": "invalid_api_key",
        }
    }


async def _at_once(door: Door, requests: int) -> list[Answer]:
    door.may_end = asyncio.Event()
    asked = [asyncio.create_task(door.ask("POST", "/v1/completions", bearer(ALICE))) for _ in range(requests)]
    await asyncio.sleep(0.01)
    door.may_end.set()
    return await asyncio.gather(*asked)


def test_a_key_at_its_limit_gets_a_429_and_its_place_back() -> None:
    door = Door(api_keys(api_key("alice", ALICE, max_concurrent=2)))

    answers = asyncio.run(_at_once(door, 3))

    assert [answer.status for answer in answers] == [200, 200, 429]
    assert answers[2].headers["retry-after"] == "1"
    assert answers[2].json()["error"]["code"] == "rate_limit_exceeded"
    assert door.gate.limits.in_flight("alice") == 0


def test_looking_is_not_limited() -> None:
    door = Door(api_keys(api_key("alice", ALICE, requests_per_minute=1)))

    assert [door.get("GET", "/status", bearer(ALICE)).status for _ in range(5)] == [200] * 5


def test_a_request_that_was_let_in_before_is_not_asked_again() -> None:
    door = Door(api_keys(api_key("alice", ALICE, requests_per_minute=1)))

    for _ in range(3):
        answer = asyncio.run(ask(door.app, "POST", "/generate", state={"key_id": "alice"}))
        assert answer.status == 200

    assert door.seen == ["alice"] * 3


def test_a_key_that_was_taken_off_the_table_is_refused_at_once() -> None:
    door = Door(api_keys())
    assert door.get("POST", "/generate", bearer(BOB)).status == 200

    door.change(api_keys(api_key("alice", ALICE)))

    assert door.get("POST", "/generate", bearer(BOB)).status == 401
    assert door.get("POST", "/generate", bearer(ALICE)).status == 200
    door.change(None)
    assert door.get("POST", "/generate").status == 200


def test_a_new_table_with_the_same_keys_keeps_what_is_known() -> None:
    door = Door(api_keys())
    before = door.gate.rules

    door.change(api_keys())

    assert door.gate.rules is before


def test_cors_is_off_unless_it_is_set() -> None:
    answer = Door().get("POST", "/generate", PAGE)

    assert {name for name in answer.headers if name.startswith("access-control") or name == "vary"} == set()


def test_answers_and_refusals_can_be_read_by_a_page_that_may() -> None:
    door = Door(api_keys(), Cors(origins=("https://chat.example",)))

    for headers in (PAGE, {**PAGE, **bearer(ALICE)}):
        answer = door.get("POST", "/generate", headers)
        assert answer.headers["access-control-allow-origin"] == "https://chat.example"
        assert answer.headers["vary"] == "Origin"


def test_a_browsers_question_needs_no_key() -> None:
    door = Door(api_keys(), Cors(origins=("https://chat.example",)))

    answer = door.get("OPTIONS", "/generate", QUESTION)

    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["access-control-allow-methods"] == "GET, HEAD, POST, OPTIONS"
    assert door.get("OPTIONS", "/generate", PAGE).status == 401


def test_a_foreign_page_is_told_where_its_origin_is_to_be_named() -> None:
    door = Door(cors=Cors(origins=("https://other.example",)))

    answer = door.get("OPTIONS", "/generate", QUESTION)

    assert (answer.status, answer.headers["vary"]) == (400, "Origin")
    assert answer.json()["detail"].endswith("whoever runs it names it in `proxy/cors/origins`")
