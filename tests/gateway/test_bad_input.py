"""Every edge of /v1, pushed: the right status, the flat error, nothing charged, never a 500."""

import gzip
from collections.abc import Iterator
from uuid import UUID

import orjson
import pytest
from django.utils import timezone

from accounts.actors import SYSTEM
from api_keys import services as api_keys
from billing.models import Charge, Hold
from tests.gateway.world import MESSAGES, Answer, Caller, World

CHAT = "/v1/chat/completions"
BODY = orjson.dumps({"model": "ok", "messages": MESSAGES})


@pytest.fixture
def caller(world: World) -> Iterator[Caller]:
    """Make a caller that has credits, of which not one may be gone at the end."""
    caller = world.caller(ticks=10**9)
    yield caller
    assert caller.available_ticks() == 10**9
    assert not Charge.of(caller.team).exists()
    assert world.upstream.count() == 0


def nested(depth: int) -> bytes:
    whole = b'{"model":"ok","messages":[{"role":"user","content":"x"}],"tools":'
    return whole + b"[" * depth + b"]" * depth + b"}"


@pytest.mark.parametrize(
    ("authorization", "status", "reason"),
    [
        (None, 401, "key_missing"),
        ("", 401, "key_missing"),
        ("Bearer", 401, "key_missing"),
        ("Bearer  ", 401, "key_missing"),
        ("Basic dXNlcjpwYXNz", 401, "key_missing"),
        ("Bearer ck-" + "x" * 80, 400, "key_unknown"),
        ("Bearer x", 400, "key_unknown"),
        ("Bearer \xff\xfe' OR 1=1 --", 400, "key_unknown"),
        ("Bearer " + "x" * 8000, 400, "key_unknown"),
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", CHAT), ("GET", "/v1/models"), ("GET", "/v1/models/ok"), ("GET", "/v1/api-key")],
)
def test_without_a_key_that_exists_nothing_is_served(
    world: World, authorization: str | None, status: int, reason: str, method: str, path: str
) -> None:
    body = BODY if method == "POST" else None

    answer = world.caller().request(method, path, body, authorization=authorization)

    assert answer.refusal() == (status, reason)
    assert (answer.headers.get("www-authenticate") == "Bearer") == (status == 401)


def test_a_wrong_key_is_told_by_its_ends_and_nothing_more(world: World) -> None:
    caller = world.caller()

    answer = caller.request("POST", CHAT, BODY, authorization="Bearer nadie-knows-this-keys")

    assert answer.json == {
        "code": "invalid-argument",
        "error": "Incorrect API key provided: na***ys. "
        f"You can obtain an API key from {world.base_url}.",
        "reason": "key_unknown",
    }


def test_a_deleted_key_is_as_unknown_as_one_that_never_was(caller: Caller) -> None:
    api_keys.delete(key=caller.key, actor=SYSTEM, now=timezone.now())

    for method, path in (("POST", CHAT), ("GET", "/v1/models"), ("GET", "/v1/api-key")):
        assert caller.request(method, path, BODY).refusal() == (400, "key_unknown")


def test_a_disabled_key_is_told_so(caller: Caller) -> None:
    api_keys.disable(key=caller.key, actor=SYSTEM, now=timezone.now())

    for method, path in (("POST", CHAT), ("GET", "/v1/models"), ("GET", "/v1/models/ok")):
        assert caller.request(method, path, BODY).refusal() == (403, "key_disabled")


def test_two_keys_at_once_are_refused(caller: Caller) -> None:
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    keys = f"Authorization: Bearer {caller.secret}\r\nAuthorization: Bearer another\r\n"

    answer = caller.send(f"{head}{keys}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY)

    assert answer.refusal() == (400, "invalid_request")


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"not json",
        b"{'model': 'ok'}",
        b'{"model": "ok",}',
        b'{"a": NaN}',
        b'{"a": 1e400}',
        b'{"model": "\xff\xfe"}',
        b'{"model": "\\ud800"}',
        b'\xef\xbb\xbf{"model": "ok"}',
        BODY + BODY,
        b"[" * 100_000,
        b"\0",
        BODY[:-1] + b"\0}",
    ],
)
def test_what_is_no_json_is_refused(caller: Caller, body: bytes) -> None:
    assert caller.request("POST", CHAT, body).refusal() == (400, "invalid_request")


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": None},
        {"messages": []},
        {"messages": "Hello"},
        {"messages": [7]},
        {"model": 7},
        {"model": None},
        {"stream": "yes"},
        {"stream_options": {"include_usage": True}},
        {"max_tokens": -1},
        {"max_tokens": 0},
        {"max_tokens": "7"},
        {"max_tokens": 1.5},
        {"max_tokens": True},
        {"max_tokens": 2**63},
        {"max_completion_tokens": -5},
        {"n": 0},
        {"n": 1000},
    ],
)
def test_a_field_of_a_wrong_type_is_named(caller: Caller, fields: dict[str, object]) -> None:
    body = orjson.dumps({"model": "ok", "messages": MESSAGES} | fields)

    answer = caller.request("POST", CHAT, body)

    assert answer.refusal() == (422, "invalid_request")
    assert next(iter(fields)) in answer.json["error"]


@pytest.mark.parametrize("kind", ["video_url", "audio_url", "file"])
def test_content_whose_price_nobody_could_bound_is_refused(caller: Caller, kind: str) -> None:
    content = [{"type": kind, kind: {"url": "https://example.test/a"}}]
    body = {"model": "ok", "messages": [{"role": "user", "content": content}]}

    answer = caller.request("POST", CHAT, orjson.dumps(body))

    assert answer.refusal() == (422, "invalid_request")
    assert kind in answer.json["error"]


@pytest.mark.parametrize(
    ("headers", "refusal"),
    [
        ({"authorization": "Bearer nobody"}, (400, "key_unknown")),
        ({"authorization": None}, (401, "key_missing")),
        ({"content_type": "text/plain"}, (415, "invalid_request")),
    ],
)
def test_whoever_is_refused_before_a_large_body_was_looked_at_may_send_it_and_hears_why(
    caller: Caller, headers: dict[str, str | None], refusal: tuple[int, str]
) -> None:
    large = orjson.dumps({"model": "ok", "messages": [{"role": "user", "content": "x" * 10**7}]})

    assert caller.request("POST", CHAT, large, **headers).refusal() == refusal


def test_a_refusal_names_the_request(caller: Caller) -> None:
    answer = caller.request("POST", CHAT, b"{}")

    assert answer.status == 422
    assert UUID(answer.headers["x-request-id"]).version == 7


@pytest.mark.parametrize("body", [b"[]", b"7", b"null", b'"text"', b"true"])
def test_json_that_is_no_object_is_refused(caller: Caller, body: bytes) -> None:
    assert caller.request("POST", CHAT, body).refusal() == (422, "invalid_request")


@pytest.mark.parametrize("depth", [260, 900])
def test_a_body_that_is_too_deep_is_refused(caller: Caller, depth: int) -> None:
    answer = caller.request("POST", CHAT, nested(depth))

    assert answer.refusal() == (422, "invalid_request")
    assert "deep" in answer.json["error"]


@pytest.mark.parametrize("model", ["grok-none", "\0", "../ok", "ok ", "OK", "x" * 10_000, "\n🦊"])
def test_a_model_that_is_not_there_is_told_as_the_original_does(caller: Caller, model: str) -> None:
    answer = caller.ask(model)

    assert answer.refusal() == (404, "model_not_found")
    assert answer.json["error"] == (
        f"The model {model[:120]} does not exist or your team {caller.team.pk} does not have "
        "access to it. If you believe this is a mistake, please contact support "
        "(support@localhost)."
    )


@pytest.mark.parametrize("body", [b"", b"  \r\n"])
def test_an_empty_body_is_refused(caller: Caller, body: bytes) -> None:
    assert caller.request("POST", CHAT, body).refusal() == (415, "invalid_request")


@pytest.mark.parametrize("kind", [None, "", "text/plain", "multipart/form-data", "json", "\xff"])
def test_a_body_of_another_kind_is_refused(caller: Caller, kind: str | None) -> None:
    answer = caller.request("POST", CHAT, BODY, content_type=kind)

    assert answer.refusal() == (415, "invalid_request")


def test_a_compressed_body_is_refused(caller: Caller) -> None:
    packed = gzip.compress(BODY)

    answer = caller.request("POST", CHAT, packed, content_encoding="gzip")

    assert answer.refusal() == (415, "invalid_request")


def test_a_body_of_fifty_megabytes_is_refused_with_an_answer(caller: Caller) -> None:
    body = b'{"model": "ok", "messages": [{"content": "' + b"x" * 50 * 2**20 + b'"}]}'

    answer = caller.request("POST", CHAT, body)

    assert answer.refusal() == (413, "invalid_request")
    assert answer.json["error"] == "The body is larger than 20 MB."


def test_fifty_megabytes_in_chunks_of_untold_length_are_refused_as_well(caller: Caller) -> None:
    piece = b"100000\r\n" + b"x" * 2**20 + b"\r\n"

    answer = send_chunked(caller, piece * 50)

    assert answer.refusal() == (413, "invalid_request")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "BREW"])
def test_another_method_is_refused(caller: Caller, method: str) -> None:
    answer = caller.request(method, CHAT)

    assert answer.status == 405
    assert answer.headers["allow"] == "POST"
    assert method == "HEAD" or answer.refusal() == (405, "invalid_request")


@pytest.mark.parametrize(
    "path",
    [
        "/v1",
        "/v1/",
        "/v1/chat/completions/",
        "/v1/nothing",
        "/v1/chat",
        "/v1/../admin",
        "/v1/%00",
        "/v1/%ff%fe",
        "/v1/%2e",
    ],
)
def test_another_path_is_refused(caller: Caller, path: str) -> None:
    assert caller.request("POST", path, BODY).refusal() == (404, "path_not_found")


@pytest.mark.parametrize("name", ["%00", "%ff", "a/b", "ok%20", "%F0%9F%A6%8A", "x" * 5000])
def test_a_path_of_a_model_that_is_not_there_is_refused(caller: Caller, name: str) -> None:
    answer = caller.request("GET", f"/v1/models/{name}")

    assert answer.refusal() == (404, "model_not_found")


@pytest.mark.parametrize(
    "header",
    [
        b"Authorization: Bearer a\0b",
        b"Authorization: Bearer a\x01b",
        b"X-Note: a\x7fb",
        b"X No\te: a",
        b"X-\x01: a",
        b"Content-Length: -1",
        b"Content-Length: 1, 2",
        b"no colon",
    ],
)
def test_a_header_with_control_characters_is_refused_by_the_server_itself(
    caller: Caller, header: bytes
) -> None:
    """Before there is a request, so there is no JSON either: it has no path and no key."""
    answer = caller.send(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n" + header + b"\r\n\r\n"
    )

    assert (answer.status, answer.body) == (400, b"")


def test_headers_without_an_end_are_refused(caller: Caller) -> None:
    answer = caller.send(b"GET /v1/models HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 10**6)

    assert answer.status in {400, 431}


def test_a_body_that_never_comes_whole_costs_nothing(caller: Caller) -> None:
    half = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    with caller.connect() as sock:
        sock.sendall(f"{half}Authorization: Bearer {caller.secret}\r\n".encode())
        sock.sendall(b"Content-Length: 1000\r\n\r\n{")

    assert caller.request("GET", "/v1/models").status == 200
    assert not Hold.of(caller.team).filter(state="live").exists()


def test_a_body_in_chunks_of_untold_length_is_served(world: World) -> None:
    caller = world.caller()
    middle = len(BODY) // 2
    pieces = [BODY[:middle], BODY[middle:]]

    answer = send_chunked(caller, b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in pieces))

    assert answer.status == 200


def test_strings_with_nul_and_every_plane_of_unicode_are_served(world: World) -> None:
    text = "\0\x7f\u2028\ufeff\U0010ffff"

    answer = world.caller().ask("ok", messages=[{"role": "user", "content": text}], user="\0")

    assert answer.status == 200
    [seen] = world.upstream.requests()
    assert seen["body"]["messages"][0]["content"] == text


def test_a_body_as_deep_as_can_be_passed_on_is_served(world: World) -> None:
    assert world.caller().request("POST", CHAT, nested(200)).status == 200


def send_chunked(caller: Caller, chunks: bytes) -> Answer:
    head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    head += f"Authorization: Bearer {caller.secret}\r\nTransfer-Encoding: chunked\r\n\r\n"
    return caller.send(head.encode() + chunks + b"0\r\n\r\n")
