"""What a customer gets and pays for, by the official client: whole answers, streams, the rest."""

from datetime import timedelta

import openai
import pytest
from django.utils import timezone

from accounts.actors import SYSTEM
from api_keys import services as api_keys
from billing.models import BillingAccount, Charge
from billing.rules import BillingItem
from gateway.models import InferenceModel
from tests.gateway.world import MESSAGES, PRICES, PROMPT_TOKENS, UPSTREAM_KEY, World
from tests.servers import Console, until
from tests.usage.requests import counted
from usage import services as usage

PROMPT, COMPLETION = PRICES[BillingItem.PROMPT_TEXT], PRICES[BillingItem.COMPLETION]
COST = PROMPT_TOKENS * PROMPT + 8 * COMPLETION
HOUR = timedelta(hours=1)
TEXT = "the quick brown fox jumps over the lazy "


def test_a_whole_answer_says_what_it_cost_and_that_is_what_is_charged(world: World) -> None:
    caller = world.caller(ticks=10**9)

    with caller.openai as client:
        answer = client.chat.completions.create(model="ok", messages=MESSAGES)

    assert answer.model == "ok"
    assert answer.choices[0].message.content == TEXT
    assert answer.usage
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (PROMPT_TOKENS, 8)
    assert answer.usage.to_dict()["cost_in_usd_ticks"] == COST
    assert caller.available_ticks() == 10**9 - COST
    charge = Charge.of(caller.team).get()
    assert str(charge.pk) == answer._request_id
    assert charge.lines == [["prompt_text", PROMPT_TOKENS, PROMPT], ["completion", 8, COMPLETION]]


def test_a_stream_is_the_same_answer_in_pieces_at_the_same_cost(world: World) -> None:
    caller = world.caller()

    with caller.openai as client:
        stream = client.chat.completions.create(
            model="ok", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
        )
        chunks = list(stream)

    assert "".join(c.choices[0].delta.content or "" for c in chunks[:-1]) == TEXT
    assert {chunk.model for chunk in chunks} == {"ok"}
    assert chunks[-1].choices == []
    assert chunks[-1].usage
    assert chunks[-1].usage.to_dict()["cost_in_usd_ticks"] == COST
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert caller.spent_ticks() == COST


def test_a_client_that_did_not_ask_for_usage_gets_none_and_is_charged_all_the_same(
    world: World,
) -> None:
    caller = world.caller()

    answer = caller.ask("ok", stream=True)

    assert answer.text == TEXT
    assert answer.events[-1] == "[DONE]"
    assert all("usage" not in event for event in answer.events[:-1])
    assert caller.spent_ticks() == COST
    [seen] = world.upstream.requests()
    assert seen["body"]["stream_options"] == {"include_usage": True}


def test_a_client_that_said_no_to_usage_keeps_its_other_options(world: World) -> None:
    options = {"include_usage": False, "include_obfuscation": True}

    answer = world.caller().ask("ok", stream=True, stream_options=options)

    assert all("usage" not in event for event in answer.events[:-1])
    [seen] = world.upstream.requests()
    assert seen["body"]["stream_options"] == options | {"include_usage": True}


@pytest.mark.parametrize("stream", [False, True])
def test_the_answer_carries_the_id_under_which_it_is_charged(world: World, stream: bool) -> None:  # noqa: FBT001
    caller = world.caller()

    answer = caller.ask("ok", stream=stream)

    assert answer.headers["x-request-id"] == str(Charge.of(caller.team).get().pk)
    [seen] = world.upstream.requests()
    assert seen["headers"]["x-request-id"] == answer.headers["x-request-id"]


def test_the_upstream_gets_its_own_key_and_its_own_name_of_the_model_and_the_rest_as_it_came(
    world: World,
) -> None:
    caller = world.caller()

    caller.ask("ok", temperature=0.5, seed=2**60, tools=[{"a": [1, None, "\0\N{FOX FACE}"]}])

    [seen] = world.upstream.requests()
    assert seen["headers"]["authorization"] == f"Bearer {UPSTREAM_KEY}"
    assert caller.secret not in str(seen)
    assert seen["body"] == {
        "model": "ok?tokens=8",
        "messages": MESSAGES,
        "max_tokens": 64,
        "temperature": 0.5,
        "seed": 2**60,
        "tools": [{"a": [1, None, "\0\N{FOX FACE}"]}],
    }


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_a_maximum_that_can_be_paid_is_passed_on_as_it_is(world: World, field: str) -> None:
    caller = world.caller()

    answer = caller.ask("ok", **{field: 3})

    assert answer.json["usage"]["completion_tokens"] == 3
    [seen] = world.upstream.requests()
    assert seen["body"][field] == 3


def test_a_maximum_is_lowered_to_what_the_credits_pay_for_and_never_raised(world: World) -> None:
    caller = world.caller(ticks=45)

    answer = caller.ask("fifty", max_tokens=5)

    assert answer.json["choices"][0]["finish_reason"] == "length"
    assert answer.json["usage"]["cost_in_usd_ticks"] == 40
    assert caller.available_ticks() == 5
    assert caller.ask("fifty", max_tokens=5).refusal() == (403, "credits_exhausted")
    [seen] = world.upstream.requests()
    assert seen["body"]["max_tokens"] == 4


def test_no_other_name_of_a_maximum_gets_past_the_one_that_is_paid_for(world: World) -> None:
    caller = world.caller(ticks=45)

    caller.ask(
        "fifty",
        max_tokens=5,
        max_completion_tokens=900,
        n_predict=900,
        max_new_tokens=900,
        max_output_tokens=900,
        best_of=9,
        n_cmpl=9,
    )

    [seen] = world.upstream.requests()
    assert seen["body"] == {
        "model": "ok?tokens=5&wait=0.2",
        "messages": MESSAGES,
        "max_completion_tokens": 4,
    }


def test_several_choices_are_paid_for_each(world: World) -> None:
    caller = world.caller(ticks=100)

    answer = caller.ask("fifty", max_tokens=5, n=3, stream=True)

    [seen] = world.upstream.requests()
    assert (seen["body"]["n"], seen["body"]["max_tokens"]) == (3, 3)
    indexes = [e["choices"][0]["index"] for e in answer.events[:-1] if len(e["choices"]) == 1]
    assert set(indexes) == {0, 1, 2}
    assert caller.spent_ticks() == 90


@pytest.mark.parametrize("stream", [False, True])
def test_cached_and_reasoning_tokens_have_their_own_prices(world: World, stream: bool) -> None:  # noqa: FBT001
    inside, beside = world.caller(), world.caller()

    inside.ask("usage-details", stream=stream)  # 1 cached; 5 of the 8 tokens are reasoning.
    beside.ask("usage-details-apart", stream=stream)  # 5 reasoning tokens besides the 8.

    prompt = 4 * PROMPT + PRICES[BillingItem.CACHED_PROMPT_TEXT]
    reasoning = 5 * PRICES[BillingItem.REASONING]
    assert inside.spent_ticks() == prompt + 3 * COMPLETION + reasoning
    assert beside.spent_ticks() == prompt + 8 * COMPLETION + reasoning


@pytest.mark.parametrize(
    "model", ["split", "noise", "usage-twice", "usage-with-choices", "usage-cumulative", "no-done"]
)
def test_a_stream_of_any_legal_shape_is_charged_once_and_exactly(world: World, model: str) -> None:
    caller = world.caller()
    more = 1 if model == "noise" else 0  # It says one token more than it counts as asked for.

    answer = caller.ask(model, stream=True, stream_options={"include_usage": True})

    assert answer.text.startswith(TEXT)
    assert answer.events[-1] == "[DONE]"
    assert [e["usage"]["cost_in_usd_ticks"] for e in answer.events[:-1] if e.get("usage")] == [
        COST + more * COMPLETION
    ]
    assert caller.spent_ticks() == COST + more * COMPLETION


def test_a_token_of_megabytes_arrives_whole(world: World) -> None:
    answer = world.caller().ask("huge-chunk", stream=True)

    assert answer.text == "x" * 4 * 2**20


def test_the_sums_that_usage_shows_are_there_with_the_answer(world: World) -> None:
    caller = world.caller()
    for calls in (1, 2, 3):
        caller.ask("ok", stream=calls == 2)

        now = timezone.now()
        assert usage.spent_ticks(caller.team, since=now - HOUR, until=now) == calls * COST
        assert counted(caller.team, now - HOUR, now) == (calls, 0)


def test_the_models_that_can_be_asked_for_are_listed(world: World) -> None:
    with world.caller().openai as client:
        names = [model.id for model in client.models.list()]
        model = client.models.retrieve("ok")
        with pytest.raises(openai.NotFoundError) as missing:
            client.models.retrieve("grok-none")

    assert names == sorted(InferenceModel.objects.values_list("name", flat=True))
    assert (model.id, model.object, model.owned_by) == ("ok", "model", "tests")
    assert str(missing.value.body).startswith("The model grok-none does not exist or your team")


def test_a_key_can_ask_about_itself_also_when_it_is_disabled(world: World) -> None:
    caller = world.caller()
    expected = {
        "redacted_api_key": caller.key.redacted,
        "user_id": str(caller.key.owner_id),
        "name": "Tests",
        "team_id": str(caller.team.pk),
        "api_key_id": str(caller.key.pk),
        "api_key_blocked": False,
        "api_key_disabled": False,
        "team_blocked": False,
    }

    before = caller.request("GET", "/v1/api-key")
    api_keys.disable(key=caller.key, actor=SYSTEM, now=timezone.now())
    after = caller.request("GET", "/v1/api-key")

    assert (before.status, after.status) == (200, 200)
    assert expected.items() <= before.json.items()
    assert (expected | {"api_key_disabled": True}).items() <= after.json.items()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_key_is_refused_from_the_request_on_that_follows_its_end(
    world: World, two_workers: Console, workers: int
) -> None:
    base_url = two_workers.base_url if workers == 2 else ""
    caller = world.caller(base_url=base_url)
    assert {caller.ask("ok").status for _ in range(4)} == {200}

    api_keys.disable(key=caller.key, actor=SYSTEM, now=timezone.now())
    disabled = [caller.ask("ok") for _ in range(4)]
    api_keys.enable(key=caller.key, actor=SYSTEM, now=timezone.now())
    enabled = [caller.ask("ok") for _ in range(4)]
    api_keys.delete(key=caller.key, actor=SYSTEM, now=timezone.now())
    deleted = [caller.ask("ok") for _ in range(4)]

    assert {answer.refusal() for answer in disabled} == {(403, "key_disabled")}
    assert caller.key.redacted in disabled[0].json["error"]
    assert {answer.status for answer in enabled} == {200}
    assert {answer.refusal() for answer in deleted} == {(400, "key_unknown")}
    assert world.upstream.count() == 8


def test_a_new_price_counts_within_moments_and_alters_no_old_charge(world: World) -> None:
    caller = world.caller()
    model = InferenceModel.objects.get(name="fifty")

    def cost() -> int:
        return int(caller.ask("fifty").json["usage"]["cost_in_usd_ticks"])

    assert cost() == 50

    InferenceModel.objects.filter(pk=model.pk).update(completion_price=11, reasoning_price=11)
    try:
        until(lambda: cost() == 55, "the new price")
    finally:
        InferenceModel.objects.filter(pk=model.pk).update(completion_price=10, reasoning_price=10)
    until(lambda: cost() == 50, "the old price")

    oldest = Charge.of(caller.team).order_by("charged_at").first()
    assert oldest
    assert (oldest.cost_ticks, oldest.lines) == (
        50,
        [["prompt_text", 5, 0], ["completion", 5, 10]],
    )


def test_a_team_that_never_paid_is_told_where_to_buy(world: World) -> None:
    caller = world.caller(ticks=0)

    answer = caller.ask("ok")

    assert answer.refusal() == (403, "credits_exhausted")
    assert answer.json["code"] == "permission-denied"
    assert answer.json["error"] == (
        "Your newly created team doesn't have any credits or licenses yet. "
        f"You can purchase those on {world.base_url}/team/{caller.team.pk}/billing/."
    )


def test_credits_that_are_gone_are_told_as_the_original_does_until_there_are_new_ones(
    world: World,
) -> None:
    caller = world.caller(ticks=50)
    assert caller.ask("fifty").status == 200

    with caller.openai as client, pytest.raises(openai.PermissionDeniedError) as refused:
        client.chat.completions.create(model="fifty", messages=MESSAGES)
    world.fund(caller.team, 50)

    assert refused.value.response.json() == {
        "code": "permission-denied",
        "error": f"Your team {caller.team.pk} has either used all available credits or reached "
        "its monthly spending limit. To continue making API requests, please purchase more "
        "credits or raise your spending limit.",
        "reason": "credits_exhausted",
    }
    assert caller.ask("fifty").status == 200


def test_a_team_with_an_overdue_invoice_is_told_so_once_its_credits_are_gone(world: World) -> None:
    caller = world.caller(ticks=50)
    account = BillingAccount.of(caller.team)
    account.update(spending_limit_ticks=10**9, invoicing_blocked_at=timezone.now())
    assert caller.ask("fifty").status == 200

    answer = caller.ask("fifty")
    account.update(invoicing_blocked_at=None)  # As no invoice stands behind it.

    assert answer.refusal() == (403, "invoice_overdue")
    assert answer.json["error"] == (
        f"Your team {caller.team.pk} has used all available credits, and nothing more is put on "
        "an invoice because one is overdue. Pay it, or purchase credits, on "
        f"{world.base_url}/team/{caller.team.pk}/billing/."
    )


def test_the_sandbox_is_for_the_gateway_alone(world: World) -> None:
    caller = world.caller()

    answer = caller.request("POST", "/sandbox/v1/chat/completions", b"{}")

    assert answer.status == 404
