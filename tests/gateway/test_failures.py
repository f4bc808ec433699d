"""When upstreams fail: an honest status, nothing charged for what failed, and no hold left."""

from concurrent.futures import ThreadPoolExecutor

import openai
import pytest

from billing.models import Charge, Hold
from billing.rules import BillingItem
from gateway.api import tokens
from tests.gateway.world import MESSAGES, PRICES, PROMPT_TOKENS, QUESTION, Answer, Caller, World
from usage.models import UsageEvent

PROMPT, COMPLETION = PRICES[BillingItem.PROMPT_TEXT], PRICES[BillingItem.COMPLETION]
COST = PROMPT_TOKENS * PROMPT + 8 * COMPLETION
TEXT = "the quick brown fox jumps over the lazy "
CREDITS = 10**9

TIMEOUT, BROKEN = (504, "upstream_timeout"), (502, "upstream_failed")
BUSY, REFUSED = (503, "upstream_overloaded"), (400, "invalid_request")


def assert_failed_for_free(caller: Caller, status: int) -> None:
    assert caller.available_ticks() == CREDITS
    assert not Charge.of(caller.team).exists()
    assert Hold.of(caller.team).get().state == Hold.State.RELEASED
    event = UsageEvent.of(caller.team).get()
    assert (event.status, event.cost_ticks, event.prompt_text, event.completion) == (
        status,
        0,
        0,
        0,
    )


def estimate(text: str) -> int:
    return tokens.count(QUESTION) * PROMPT + tokens.count(text) * COMPLETION


@pytest.mark.parametrize(
    ("model", "streams", "expected"),
    [
        ("drop-before-headers", (False, True), BROKEN),
        ("drop-before-token", (False, True), BROKEN),
        ("drop-mid-stream", (False,), BROKEN),
        ("error-400", (False, True), REFUSED),
        ("error-401", (False, True), BROKEN),
        ("error-404", (False, True), BROKEN),
        ("error-429", (False, True), BUSY),
        ("error-500", (False, True), BROKEN),
        ("error-503", (False, True), BUSY),
        ("error-html", (False, True), BROKEN),
        ("not-json", (False, True), BROKEN),
        ("wrong-shape", (False, True), BROKEN),
        ("empty", (False, True), BROKEN),
        ("json-for-stream", (True,), BROKEN),
        ("garbage", (True,), BROKEN),
        ("reachable-nowhere", (False, True), (503, "upstream_unreachable")),
    ],
)
def test_a_failure_before_the_first_token_has_its_status_and_costs_nothing(
    world: World, model: str, streams: tuple[bool, ...], expected: tuple[int, str]
) -> None:
    for stream in streams:
        caller = world.caller(ticks=CREDITS)

        answer = caller.ask(model, stream=stream)

        assert answer.refusal() == expected
        assert ("retry-after" in answer.headers) == (expected[0] == 503)
        assert answer.headers["x-request-id"] == str(Hold.of(caller.team).get().pk)
        assert_failed_for_free(caller, expected[0])


def test_a_silent_upstream_is_given_up_in_time_and_costs_nothing(world: World) -> None:
    callers = [world.caller(ticks=CREDITS) for _ in range(4)]
    asked = [("hang", False), ("hang", True), ("hang-mid-stream", False), ("hang-mid-stream", True)]
    with ThreadPoolExecutor(len(asked)) as threads:
        waiting = [
            threads.submit(caller.ask, model, stream=stream)
            for caller, (model, stream) in zip(callers, asked, strict=True)
        ]
        *whole, broken_off = [each.result() for each in waiting]

    assert [answer.refusal() for answer in whole] == [TIMEOUT] * 3
    assert_tells_of_its_end(broken_off, "upstream_timeout")
    for caller in callers:
        assert_failed_for_free(caller, 504)


@pytest.mark.parametrize("model", ["drop-mid-stream", "error-mid-stream"])
def test_a_stream_that_breaks_tells_so_in_its_last_event_and_costs_nothing(
    world: World, model: str
) -> None:
    caller = world.caller(ticks=CREDITS)

    answer = caller.ask(model, stream=True)

    assert_tells_of_its_end(answer, "upstream_failed")
    assert_failed_for_free(caller, 502)


def assert_tells_of_its_end(answer: Answer, reason: str) -> None:
    assert answer.status == 200, "its headers had been sent"
    *chunks, error = answer.events
    assert chunks
    assert (set(error), error["reason"]) == ({"code", "error", "reason"}, reason)
    assert "Nothing was charged" in error["error"]


def test_the_official_client_raises_when_a_stream_breaks(world: World) -> None:
    with world.caller().openai as client:
        stream = client.chat.completions.create(
            model="drop-mid-stream", messages=MESSAGES, stream=True
        )

        with pytest.raises(openai.APIError):
            list(stream)


def test_what_a_customer_did_wrong_is_told_in_the_upstreams_words(world: World) -> None:
    answer = world.caller().ask("error-400")

    assert answer.json["error"] == "temperature must be at most 2."


@pytest.mark.parametrize("model", ["error-500", "error-401", "error-html"])
def test_what_is_the_operators_affair_stays_with_the_operator(world: World, model: str) -> None:
    answer = world.caller().ask(model)

    assert answer.json["error"] == (
        "The model's server failed while answering. Nothing was charged. Try again."
    )


@pytest.mark.parametrize(
    "model",
    [
        "no-usage",
        "usage-null",
        "usage-negative",
        "usage-strings",
        "usage-floats",
        "usage-huge",
        "usage-not-object",
    ],
)
def test_without_a_usage_that_makes_sense_what_was_said_is_counted_and_marked(
    world: World, model: str
) -> None:
    for stream in (False, True):
        caller = world.caller()

        answer = caller.ask(model, stream=stream)

        assert answer.text == TEXT
        charge = Charge.of(caller.team).get()
        assert charge.is_estimated
        assert charge.cost_ticks == estimate(TEXT) > 0


def test_an_exact_usage_is_not_marked_as_counted(world: World) -> None:
    caller = world.caller()

    caller.ask("ok")

    assert not Charge.of(caller.team).get().is_estimated


def test_counting_never_goes_beyond_what_was_held(world: World) -> None:
    caller = world.caller(ticks=20)

    caller.ask("fifty-no-usage", max_tokens=2)

    charge = Charge.of(caller.team).get()
    assert (charge.cost_ticks, charge.is_estimated) == (20, True)


def test_a_usage_beyond_what_was_allowed_is_the_operators_loss(world: World) -> None:
    for stream in (False, True):
        caller = world.caller(ticks=CREDITS)

        caller.ask("usage-over-max", stream=stream, max_tokens=4)

        charge, hold = Charge.of(caller.team).get(), Hold.of(caller.team).get()
        assert charge.cost_ticks == hold.amount_ticks
        reported = PROMPT_TOKENS * PROMPT + 1004 * COMPLETION
        assert charge.loss_ticks == reported - hold.amount_ticks > 0
        assert caller.available_ticks() == CREDITS - hold.amount_ticks


@pytest.mark.parametrize("stream", [False, True])
def test_choices_of_every_wrong_type_are_passed_on_and_counted(world: World, stream: bool) -> None:  # noqa: FBT001
    caller = world.caller()

    answer = caller.ask("odd-parts", stream=stream)

    assert answer.status == 200
    assert Charge.of(caller.team).get().cost_ticks == estimate("fox")


def test_the_next_cluster_serves_when_the_first_cannot_be_reached(world: World) -> None:
    caller = world.caller()

    for stream in (False, True):
        assert caller.ask("reachable-at-last", stream=stream).text == TEXT

    clusters = UsageEvent.of(caller.team).values_list("cluster", "cost_ticks")
    assert list(clusters) == [("near", COST)] * 2


@pytest.mark.parametrize(
    ("model", "stream"), [("drop-mid-stream", True), ("error-500", False), ("garbage", True)]
)
def test_credits_that_a_failure_had_set_aside_can_be_spent_at_once(
    world: World,
    model: str,
    stream: bool,  # noqa: FBT001
) -> None:
    caller = world.caller(ticks=300 * PROMPT + 300 * COMPLETION)
    for _ in range(3):
        caller.ask(model, stream=stream, max_tokens=10_000)  # Holds all there is.

        assert caller.ask("ok", max_tokens=1).status == 200


def test_a_bad_request_spoils_no_other_of_its_batch(world: World) -> None:
    caller = world.caller()
    models = ["ok", "odd-parts", "usage-huge", "error-500", "grok-none", "not-json"] * 5

    with ThreadPoolExecutor(len(models)) as threads:
        statuses = [answer.status for answer in threads.map(caller.ask, models)]

    assert statuses == [200, 200, 200, 502, 404, 502] * 5
