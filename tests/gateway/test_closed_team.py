"""The gateway and a team that is deleted: its keys stop at once, and nobody pays for what ran."""

from django.utils import timezone

from accounts import services as accounts
from accounts.actors import SYSTEM
from api_keys import services as api_keys
from billing.models import Charge, Hold
from tests.gateway.world import Caller, World, read_until
from tests.servers import until
from usage.models import UsageEvent


def close(caller: Caller) -> None:
    accounts.close_team(team=caller.team, actor=SYSTEM, now=timezone.now())


def test_the_next_request_with_a_key_of_a_deleted_team_is_refused(world: World) -> None:
    caller = world.caller()
    assert caller.ask("ok").status == 200

    close(caller)

    assert caller.ask("ok").refusal() == (400, "key_unknown")
    assert caller.request("GET", "/v1/models").refusal() == (400, "key_unknown")
    assert caller.request("GET", "/v1/api-key").refusal() == (400, "key_unknown")
    assert caller.available_ticks() == 0
    assert Charge.of(caller.team).count() == 1


def test_a_stream_that_runs_when_the_team_is_deleted_ends_well_and_costs_nobody(
    world: World,
) -> None:
    caller = world.caller()
    with caller.asking("gated", stream=True) as sock:
        read_until(sock, b'"content":"the "')

        close(caller)
        world.upstream.open_gate()

        read_until(sock, b"[DONE]")

    event = until(UsageEvent.of(caller.team).first, "the event")
    assert (event.status, event.cost_ticks) == (200, 0)
    assert Hold.of(caller.team).get().state == "expired"
    assert not Charge.of(caller.team).exists()


def test_a_key_that_the_gateway_knew_before_gets_nothing_for_a_spending_limit(
    world: World,
) -> None:
    caller = world.caller()
    team = caller.team
    assert caller.ask("ok").status == 200

    close(caller)
    # As if a key had been missed: without credits and limit it would still open nothing.
    type(caller.key).of(team).update(deleted_at=None)

    assert api_keys.living(team) == ["Tests"]
    assert caller.ask("ok").refusal() == (403, "credits_exhausted")
