"""Many callers at once: never a tick too much is spent, and whoever can pay is served."""

import asyncio

import aiohttp
import orjson
import pytest
from django.db.models import Sum

from billing.models import Charge
from billing.rules import BillingItem
from tests.gateway.clients import Got, Task, call_at_once
from tests.gateway.world import MESSAGES, PRICES, PROMPT_TOKENS, Caller, World
from tests.servers import Console
from usage.models import UsageEvent

PROMPT, COMPLETION = PRICES[BillingItem.PROMPT_TEXT], PRICES[BillingItem.COMPLETION]
COST = PROMPT_TOKENS * PROMPT + 8 * COMPLETION
PROCESSES = 4
STREAMS = 500


@pytest.fixture(params=[1, 2], ids=["one web worker", "two web workers"])
def base_url(request: pytest.FixtureRequest, console: Console, two_workers: Console) -> str:
    """Name a gateway of one process and one of two, in turn."""
    return console.base_url if request.param == 1 else two_workers.base_url


def call(caller: Caller, *models: str, **options: object) -> list[Got]:
    """Let four processes make the calls, a quarter each."""
    return call_at_once(
        *(
            Task(caller.base_url, caller.secret, models[n::PROCESSES], **options)  # type: ignore[arg-type]
            for n in range(PROCESSES)
        )
    )


def test_of_200_calls_exactly_the_20_that_the_credits_pay_for_are_served(
    world: World, base_url: str
) -> None:
    caller = world.caller(ticks=20 * 50, base_url=base_url)

    answers = call(caller, *["fifty"] * 200, fields={"max_tokens": 5}, streams=(False, True))

    assert [got.status for got in answers].count(200) == 20
    assert {got.cost_ticks for got in answers if got.status == 200} == {50}
    refusals = [orjson.loads(got.body) for got in answers if got.status == 403]
    assert len(refusals) == 180
    for refusal in refusals:
        assert refusal["reason"] == "credits_exhausted"
        assert refusal["error"].startswith(
            f"Your team {caller.team.pk} has either used all available credits or reached its "
            "monthly spending limit."
        )
    assert caller.available_ticks() == 0
    assert caller.spent_ticks() == 20 * 50
    assert world.upstream.count() == 20, "nothing was forwarded that could not be paid for"


def test_at_real_prices_nothing_is_overspent_and_the_rest_stays_usable(
    world: World, base_url: str
) -> None:
    credits_ticks = 20 * COST
    caller = world.caller(ticks=credits_ticks, base_url=base_url)

    answers = call(caller, *["ok"] * 200, fields={"max_tokens": 8}, streams=(False, True))

    paid = [got.cost_ticks or 0 for got in answers if got.status == 200]
    assert 0 < sum(paid) <= credits_ticks
    assert {got.status for got in answers} <= {200, 403}
    assert caller.available_ticks() == credits_ticks - sum(paid)
    while (answer := caller.ask("ok", max_tokens=8)).status == 200:
        paid.append(answer.json["usage"]["cost_in_usd_ticks"])
    assert answer.refusal() == (403, "credits_exhausted")
    left = caller.available_ticks()
    assert left == credits_ticks - sum(paid)
    # Refused only for want of what the shortest answer to this prompt could cost at most.
    body = orjson.dumps({"model": "ok", "messages": MESSAGES, "max_tokens": 8})
    assert 0 <= left < (len(body) + 256) * PROMPT + COMPLETION


MISBEHAVIOURS = {
    "ok": True,
    "slow": True,
    "noise": True,
    "no-usage": True,
    "usage-twice": True,
    "usage-huge": True,
    "usage-over-max": True,
    "reachable-at-last": True,
    "error-500": False,
    "not-json": False,
    "drop-mid-stream": False,
    "drop-before-headers": False,
    "reachable-nowhere": False,
}


def test_a_mix_of_misbehaviours_and_of_clients_that_leave_loses_and_makes_no_money(
    world: World, base_url: str
) -> None:
    caller = world.caller(ticks=10**9, base_url=base_url)
    models = list(MISBEHAVIOURS) * 15

    answers = call(caller, *models, fields={"max_tokens": 8}, streams=(True, False), leave_every=6)

    world.assert_accounted()
    assert UsageEvent.of(caller.team).count() == len(models)
    stayed = [got for got in answers if not got.has_left]
    assert len(stayed) < len(answers)
    for got in stayed:
        assert got.is_whole == MISBEHAVIOURS[got.model], got
    told = sum(got.cost_ticks or 0 for got in stayed if got.is_whole)
    assert told <= caller.spent_ticks() == 10**9 - caller.available_ticks()


def test_teams_that_call_at_once_spend_their_own_credits_only(world: World, base_url: str) -> None:
    callers = [world.caller(ticks=50 * (n + 1), base_url=base_url) for n in range(PROCESSES)]

    answers = call_at_once(
        *(Task(c.base_url, c.secret, ["fifty"] * 12, {"max_tokens": 5}) for c in callers)
    )

    served = [got for got in answers if got.status == 200]
    assert len(served) == 1 + 2 + 3 + 4
    assert [caller.available_ticks() for caller in callers] == [0] * PROCESSES


def test_500_open_streams_keep_nobody_waiting_and_settle_to_the_tick(world: World) -> None:
    caller = world.caller(ticks=STREAMS * 10**6)

    statuses = asyncio.run(hold_open(world, caller))

    assert statuses == {"/healthz": 200, "/accounts/login/": 200, "another call": 200}
    charges = Charge.of(caller.team).filter(model="gated")
    assert charges.count() == STREAMS
    assert charges.aggregate(sum=Sum("cost_ticks"))["sum"] == STREAMS * COST
    assert not charges.filter(is_estimated=True).exists()
    assert caller.available_ticks() == STREAMS * 10**6 - STREAMS * COST - COST


async def hold_open(world: World, caller: Caller) -> dict[str, int]:
    """Open the streams, try others beside them, and let them end; say how the others fared."""
    url = f"{caller.base_url}/v1/chat/completions"
    body = {"messages": MESSAGES, "max_tokens": 8}
    headers = {"authorization": f"Bearer {caller.secret}"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def stream() -> aiohttp.ClientResponse:
            asked = body | {"model": "gated", "stream": True}
            response = await session.post(url, json=asked, headers=headers)
            assert response.status == 200, await response.text()
            assert b'"content":"the "' in await response.content.readany()
            return response

        streams = await asyncio.gather(*(stream() for _ in range(STREAMS)))
        # All are at the gate, which opens only after these have been answered.
        statuses = {}
        for path in ("/healthz", "/accounts/login/"):
            async with session.get(caller.base_url + path) as response:
                statuses[path] = response.status
        async with session.post(url, json=body | {"model": "ok"}, headers=headers) as response:
            statuses["another call"] = response.status
        await asyncio.to_thread(world.upstream.open_gate)
        texts = await asyncio.gather(*(response.text() for response in streams))
    assert all(text.endswith("data: [DONE]\n\n") for text in texts)
    return statuses
