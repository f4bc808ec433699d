"""What a key may be used for, until when, from where and for how much money, as callers feel it."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import cycle
from threading import Event
from time import monotonic

import orjson
import pytest
from django.utils import timezone

from accounts.actors import SYSTEM
from api_keys import services as api_keys
from api_keys.models import ApiKey, KeyAddress, KeyMonth
from api_keys.services import EVERYTHING, Terms
from tests.gateway.clients import Task, call_at_once
from tests.gateway.world import FIFTY, MESSAGES, Answer, Caller, World
from tests.servers import Console, until

CHAT, LIST = "api-key:endpoint:chat", "api-key:endpoint:models"
EVERY_ENDPOINT, EVERY_MODEL = EVERYTHING.acls


def page_of(caller: Caller) -> str:
    return f"/team/{caller.team.pk}/api-keys/{caller.key.pk}/"


def ask_from(caller: Caller, address: str) -> Answer:
    """Make a chat request through a proxy that names this address."""
    body = orjson.dumps({"model": "ok", "messages": MESSAGES})
    return caller.request("POST", "/v1/chat/completions", body, x_forwarded_for=address)


def at_once(*calls: Callable[[], Answer]) -> list[Answer]:
    with ThreadPoolExecutor(len(calls)) as threads:
        return [future.result() for future in [threads.submit(call) for call in calls]]


def test_a_key_reaches_only_what_its_acls_name_and_without_any_nothing(
    world: World, base_url: str
) -> None:
    def caller(*acls: str) -> Caller:
        return world.caller(base_url=base_url, terms=Terms(acls=acls))

    def reached(caller: Caller) -> list[tuple[int, str]]:
        """Ask for two models, the list, and one model of it, all at once."""
        answers = at_once(
            lambda: caller.ask("ok"),
            lambda: caller.ask("fifty"),
            lambda: caller.request("GET", "/v1/models"),
            lambda: caller.request("GET", "/v1/models/ok"),
            lambda: caller.request("GET", "/v1/models/fifty"),
        )
        return [(a.status, "" if a.status == 200 else a.refusal()[1]) for a in answers]

    yes, no_endpoint, no_model = (200, ""), (403, "acl_denied"), (404, "acl_denied")
    one_model = "api-key:model:ok"
    assert reached(caller(EVERY_ENDPOINT, EVERY_MODEL)) == [yes] * 5
    assert reached(caller(CHAT, EVERY_MODEL)) == [yes, yes] + [no_endpoint] * 3
    assert reached(caller(LIST, EVERY_MODEL)) == [no_endpoint] * 2 + [yes] * 3
    assert reached(caller(CHAT, LIST, one_model)) == [yes, no_model, yes, yes, no_model]
    assert reached(caller(EVERY_ENDPOINT)) == [no_model, no_model, yes, no_model, no_model]
    assert reached(caller(EVERY_MODEL)) == [no_endpoint] * 5
    assert reached(caller()) == [no_endpoint] * 5


def test_what_acls_deny_is_told_in_the_originals_words(world: World) -> None:
    caller = world.caller(terms=Terms(acls=(LIST, "api-key:model:ok")))

    denied = caller.ask("ok")
    hidden = caller.request("GET", "/v1/models/fifty")
    missing = caller.request("GET", "/v1/models/grok-none")
    listed = caller.request("GET", "/v1/models").json["data"]

    assert denied.json["code"] == "permission-denied"
    assert denied.json["error"].startswith("access to the chat endpoint is denied")
    assert caller.key.redacted in denied.json["error"]
    assert page_of(caller) in denied.json["error"]
    assert hidden.json["error"].startswith("The model fifty does not exist or your team")
    assert missing.refusal() == (404, "model_not_found")
    assert [model["id"] for model in listed] == ["ok"]


def test_a_large_body_is_read_only_for_a_key_that_may_ask(world: World) -> None:
    caller = world.caller(terms=Terms(acls=(LIST,)))
    head = (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        b"authorization: Bearer %b\r\ncontent-length: 9000000\r\n\r\n"
    )

    answer = caller.send(head % caller.secret.encode())

    assert answer.refusal() == (403, "acl_denied")


def test_a_key_works_until_the_moment_in_which_it_expires(world: World, base_url: str) -> None:
    expires_at = timezone.now() + timedelta(seconds=1)
    caller = world.caller(base_url=base_url, terms=replace(EVERYTHING, expires_at=expires_at))
    answers = []

    def has_expired() -> bool:
        began = timezone.now()
        answer = caller.ask("ok")
        answers.append((began, timezone.now(), answer))
        return answer.status != 200

    until(has_expired, "the key to expire")
    answer = answers[-1][2]

    assert answers[0][2].status == 200
    for began, ended, each in answers:
        assert each.status == 200 or ended >= expires_at
        assert each.status == 403 or began < expires_at
    assert answer.refusal() == (403, "key_expired")
    assert answer.json["code"] == "permission-denied"
    assert f"The API key {caller.key.redacted} expired on " in answer.json["error"]
    assert caller.request("GET", "/v1/models").refusal() == (403, "key_expired")


def test_a_key_works_from_its_networks_only(world: World, base_url: str) -> None:
    networks = ("203.0.113.0/24", "198.51.100.7/32", "2001:db8::/32")
    caller = world.caller(base_url=base_url, terms=replace(EVERYTHING, networks=networks))
    inside = ["203.0.113.1", "203.0.113.255", "198.51.100.7", "2001:db8::1", "::ffff:203.0.113.9"]
    outside = ["203.0.114.1", "198.51.100.8", "2001:db9::1", "nonsense", "127.0.0.1"]

    let_in = at_once(*(lambda ip=ip: ask_from(caller, ip) for ip in inside))
    refused = at_once(*(lambda ip=ip: ask_from(caller, ip) for ip in outside))
    # What a caller claims besides is only what it claims: the last hop is what the proxy saw.
    claimed = ask_from(caller, "203.0.113.1, 198.51.100.8")
    directly = caller.ask("ok")
    listed = caller.request("GET", "/v1/models", x_forwarded_for="198.51.100.8")

    assert [answer.status for answer in let_in] == [200] * len(inside)
    assert {answer.refusal() for answer in refused} == {(403, "address_denied")}
    for answer in (claimed, directly, listed):
        assert answer.refusal() == (403, "address_denied")
    assert claimed.json["error"] == (
        f"The API key {caller.key.redacted} may not be used from the address 198.51.100.8. "
        f"You can change where it may be used from on {caller.base_url}{page_of(caller)}."
    )
    assert "127.0.0.1" in directly.json["error"]
    assert world.upstream.count() == len(inside)


def test_a_blocked_key_is_told_what_the_original_says_and_the_way_out(world: World) -> None:
    caller = world.caller()
    block(caller)

    assert caller.ask("ok").json["error"] == (
        "API key is currently blocked: Blocked due to API key leak. "
        f"You can give it a new secret on {caller.base_url}{page_of(caller)}."
    )


def test_of_many_calls_at_once_the_keys_cap_pays_for_so_many_and_not_for_one_more(
    world: World, base_url: str
) -> None:
    caller = world.caller(
        base_url=base_url, terms=replace(EVERYTHING, monthly_cap_ticks=7 * 50 + 49)
    )
    calls = Task(base_url, caller.secret, ["fifty"] * 20, dict(FIFTY), (False, True))

    answers = call_at_once(calls, calls, calls, calls)

    assert {got.status for got in answers} == {200, 403}
    # Seven whole answers; or of the last tokens some shorter ones.
    assert 7 * 50 <= caller.spent_ticks() <= 7 * 50 + 49
    refused = [orjson.loads(got.body) for got in answers if got.status == 403]
    assert {refusal["reason"] for refusal in refused} == {"key_cap_reached"}
    assert caller.key.redacted in refused[0]["error"]
    assert KeyMonth.of(caller.team).get(key=caller.key).spent_ticks == caller.spent_ticks()
    other = world.caller(base_url=base_url)
    assert other.ask("fifty", **FIFTY).status == 200


def test_an_answer_is_shortened_to_what_is_left_under_the_cap(world: World) -> None:
    caller = world.caller(terms=replace(EVERYTHING, monthly_cap_ticks=85))

    costs = [caller.ask("fifty", **FIFTY).json["usage"]["cost_in_usd_ticks"] for _ in range(2)]

    assert costs == [50, 30]
    assert caller.ask("fifty", **FIFTY).refusal() == (403, "key_cap_reached")


def test_a_team_without_credits_is_told_that_and_not_of_the_cap(world: World) -> None:
    caller = world.caller(ticks=50, terms=replace(EVERYTHING, monthly_cap_ticks=1000))

    assert caller.ask("fifty", **FIFTY).status == 200
    assert caller.ask("fifty", **FIFTY).refusal() == (403, "credits_exhausted")


def test_a_key_says_of_itself_what_it_may_do(world: World) -> None:
    expires_at = timezone.now() + timedelta(days=3)
    limits = {"requests_per_second": 2, "requests_per_minute": 60, "tokens_per_minute": 9000}
    caller = world.caller(
        terms=replace(
            EVERYTHING,
            acls=(CHAT, "api-key:model:ok"),
            expires_at=expires_at,
            networks=("203.0.113.0/24",),
            monthly_cap_ticks=10**10,
            **limits,
        )
    )

    told = caller.request("GET", "/v1/api-key", x_forwarded_for="203.0.113.9").json
    ApiKey.of(caller.team).update(expires_at=timezone.now())
    expired = caller.request("GET", "/v1/api-key")

    expected = {
        "name": "Tests",
        "user_id": str(caller.key.owner_id),
        "acls": [CHAT, "api-key:model:ok"],
        "api_key_expired": False,
        "expire_time": expires_at.isoformat(),
        "qps": 2,
        "qpm": 60,
        "tpm": 9000,
        "allowed_networks": ["203.0.113.0/24"],
        "monthly_cap_in_usd_ticks": 10**10,
    }
    assert expected.items() <= told.items()
    assert (expired.status, expired.json["api_key_expired"]) == (200, True)


def test_a_key_does_not_tell_whoever_found_it_whose_it_is_nor_how_to_use_it(world: World) -> None:
    hidden = {"name", "user_id", "allowed_networks", "monthly_cap_in_usd_ticks"}
    caller = world.caller(terms=replace(EVERYTHING, networks=("203.0.113.0/24",)))

    def told(address: str) -> set[str]:
        answer = caller.request("GET", "/v1/api-key", x_forwarded_for=address)
        assert answer.status == 200
        return set(answer.json)

    inside, outside = told("203.0.113.9"), told("198.51.100.8")
    block(caller)
    blocked = told("203.0.113.9")

    assert inside - outside == inside - blocked == hidden
    assert {"api_key_blocked", "api_key_id", "acls"} <= outside == blocked


def test_an_old_secret_works_beside_the_new_one_until_its_grace_is_over(
    world: World, base_url: str
) -> None:
    caller = world.caller(base_url=base_url, terms=replace(EVERYTHING, monthly_cap_ticks=200))
    assert caller.ask("fifty", **FIFTY).status == 200
    new = rotated(caller, timedelta(hours=24))

    both = at_once(lambda: caller.ask("fifty", **FIFTY), lambda: new.ask("fifty", **FIFTY))
    names = [c.request("GET", "/v1/api-key").json["redacted_api_key"] for c in (caller, new)]
    [old] = api_keys.retired_secrets(new.key, now=timezone.now())
    api_keys.end_secret(key=new.key, retired_id=old.pk, actor=SYSTEM, now=timezone.now())
    ended = caller.ask("fifty", **FIFTY)
    last = new.ask("fifty", **FIFTY)

    assert [answer.status for answer in both] == [200, 200]
    assert names == [caller.key.redacted, new.key.redacted]
    assert ended.refusal() == (400, "key_unknown")
    assert last.status == 200
    assert new.ask("fifty", **FIFTY).refusal() == (403, "key_cap_reached"), "one cap for both"


def rotated(caller: Caller, grace: timedelta) -> Caller:
    """Give the key a new secret, and return the program that has it."""
    rotation = api_keys.rotations_of(caller.key)
    key = ApiKey.of(caller.team).select_related("team").get(pk=caller.key.pk)
    made = api_keys.rotate(
        key=key, actor=SYSTEM, grace=grace, rotation=rotation, now=timezone.now()
    )
    return Caller(caller.base_url, made.secret, made.key)


@contextmanager
def hammered(*callers: Caller) -> Iterator[list[tuple[float, Answer]]]:
    """Ask again and again, from several connections, and note when each was begun."""
    noted: list[tuple[float, Answer]] = []
    is_over = Event()

    def hammer(caller: Caller) -> None:
        while not is_over.is_set():
            began = monotonic()
            noted.append((began, caller.ask("ok")))

    with ThreadPoolExecutor(4) as threads:
        running = [threads.submit(hammer, caller) for caller, _ in zip(cycle(callers), range(4))]
        try:
            until(lambda: len(noted) >= 8, "the first answers")
            yield noted
            enough = len(noted) + 12
            until(lambda: len(noted) >= enough, "the last answers")
        finally:
            is_over.set()
        for each in running:
            each.result()


def disable(caller: Caller) -> None:
    api_keys.disable(key=caller.key, actor=SYSTEM, now=timezone.now())


def delete(caller: Caller) -> None:
    api_keys.delete(key=caller.key, actor=SYSTEM, now=timezone.now())


def block(caller: Caller) -> None:
    finding = api_keys.Finding(caller.secret, source="commit", url="https://git.example.test/")
    api_keys.report_leaks(
        [finding], reporter=api_keys.Reporter.GITHUB, actor=SYSTEM, now=timezone.now()
    )


def rotate(caller: Caller) -> None:
    rotated(caller, timedelta(0))


@pytest.mark.parametrize(
    ("end", "refusal"),
    [
        (disable, (403, "key_disabled")),
        (block, (403, "key_blocked")),
        (delete, (400, "key_unknown")),
        (rotate, (400, "key_unknown")),
    ],
)
def test_every_request_after_the_end_of_a_key_is_refused_by_every_worker(
    world: World,
    console: Console,
    two_workers: Console,
    end: Callable[[Caller], None],
    refusal: tuple[int, str],
) -> None:
    near = world.caller(base_url=console.base_url)
    far = Caller(two_workers.base_url, near.secret, near.key)

    with hammered(near, far) as noted:
        end(near)
        ended = monotonic()

    before = [answer.status for began, answer in noted if began < ended]
    after = [answer.refusal() for began, answer in noted if began >= ended]
    assert 200 in before
    assert set(after) == {refusal}
    assert len(after) >= 8


def test_a_key_that_is_enabled_again_works_at_once_on_every_worker(
    world: World, console: Console, two_workers: Console
) -> None:
    near = world.caller(base_url=console.base_url)
    disable(near)

    with hammered(near, Caller(two_workers.base_url, near.secret, near.key)) as noted:
        api_keys.enable(key=near.key, actor=SYSTEM, now=timezone.now())
        enabled = monotonic()

    assert {answer.status for began, answer in noted if began >= enabled} == {200}


def test_from_where_a_key_was_used_is_written_down(world: World) -> None:
    caller = world.caller()
    addresses = {"203.0.113.7", "2001:db8::7", "198.51.100.7"}

    caller.request("GET", "/v1/models", x_forwarded_for="198.51.100.7")
    for address in ("2001:db8::7", "203.0.113.7"):
        ask_from(caller, address)

    def noted() -> bool:
        found = KeyAddress.of(caller.team).filter(key=caller.key)
        return set(found.values_list("ip", flat=True)) == addresses

    until(noted, "all addresses")
    caller.key.refresh_from_db()
    assert caller.key.last_used_ip == "203.0.113.7"
