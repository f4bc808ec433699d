"""Clients that hang up: they pay for what the upstream produced, and for nothing else."""

from billing.models import Charge, Hold
from billing.rules import BillingItem
from gateway.api import tokens
from tests.gateway.world import PRICES, PROMPT_TOKENS, QUESTION, World, read_until
from tests.servers import Console, until
from usage.models import UsageEvent

PROMPT, COMPLETION = PRICES[BillingItem.PROMPT_TEXT], PRICES[BillingItem.COMPLETION]
COST = PROMPT_TOKENS * PROMPT + 8 * COMPLETION
CREDITS = 10**9


def test_a_stream_left_in_the_middle_costs_what_the_upstream_made_of_it(world: World) -> None:
    caller = world.caller(ticks=CREDITS)
    with caller.asking("gated", stream=True) as sock:
        read_until(sock, b'"content":"the "')
    assert Hold.of(caller.team).get().state == "live", "the upstream is not done"

    world.upstream.open_gate()

    charge = until(Charge.of(caller.team).first, "the charge")
    assert (charge.cost_ticks, charge.is_estimated) == (COST, False)
    assert caller.available_ticks() == CREDITS - COST


def test_a_stream_that_its_client_left_is_not_listened_to_for_ever(world: World) -> None:
    caller = world.caller()
    with caller.asking("gated", stream=True) as sock:
        read_until(sock, b'"content":"the "')

    charge = until(Charge.of(caller.team).first, "the charge")

    said = tokens.count(QUESTION) * PROMPT + tokens.count("the ") * COMPLETION
    assert (charge.cost_ticks, charge.is_estimated) == (said, True)
    until(
        lambda: world.upstream.requests()[0]["outcome"] == "client left",
        "the upstream to be told to stop",
    )


def test_a_stream_left_before_its_first_token_costs_nothing(world: World) -> None:
    caller = world.caller(ticks=CREDITS)
    with caller.asking("hang", stream=True):
        until(lambda: world.upstream.count() == 1, "the request at the upstream")

    until(lambda: Hold.of(caller.team).get().state == "released", "the end of the hold")

    assert caller.available_ticks() == CREDITS
    event = UsageEvent.of(caller.team).get()
    assert (event.status, event.cost_ticks) == (499, 0), "not the upstream's failure"


def test_a_whole_answer_that_nobody_waits_for_is_paid_for_all_the_same(world: World) -> None:
    caller = world.caller()
    with caller.asking("gated"):
        until(lambda: world.upstream.count() == 1, "the request at the upstream")

    world.upstream.open_gate()

    charge = until(Charge.of(caller.team).first, "the charge")
    assert (charge.cost_ticks, charge.is_estimated) == (COST, False)


def test_an_upstream_that_fails_after_the_client_left_is_not_paid_for(world: World) -> None:
    caller = world.caller(ticks=CREDITS)
    with caller.asking("hang", stream=False):
        until(lambda: world.upstream.count() == 1, "the request at the upstream")

    until(lambda: Hold.of(caller.team).get().state == "released", "the end of the hold")

    assert caller.available_ticks() == CREDITS
    assert UsageEvent.of(caller.team).get().status == 504


def test_clients_that_come_and_go_leave_no_hold_behind(world: World) -> None:
    world.upstream.open_gate()
    caller = world.caller()
    for number in range(30):
        model = ("slow", "gated", "drop-mid-stream")[number % 3]
        with caller.asking(model, stream=number % 2 == 0) as sock:
            if number % 5:
                sock.recv(1 + 100 * number)

    # Who left at once may not have been let in.
    until(lambda: UsageEvent.of(caller.team).count() >= 24, "the end of the others")

    world.assert_accounted()


def test_a_client_that_leaves_while_it_asks_is_no_error_of_ours(
    world: World, console: Console
) -> None:
    caller = world.caller()
    for _ in range(20):
        with caller.connect() as sock:
            sock.sendall(
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n"
                b"Content-Type: application/json\r\nAuthorization: Bearer x\r\n\r\n{"
            )

    assert caller.ask("ok").status == 200
    assert "Traceback" not in console.log()
