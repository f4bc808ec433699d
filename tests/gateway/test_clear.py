"""Clearing a batch: told again after a lost connection, or late, it keeps the books straight."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone
from uuid_utils.compat import uuid7

from accounts.actors import SYSTEM
from accounts.models import Team
from api_keys import services as api_keys
from billing import services as billing
from billing.models import BillingAccount, Charge, Hold
from billing.rules import BillingItem
from gateway import services as gateway
from gateway.rules import read_chat_request
from gateway.services import Admitted, Arrival, Outcome, RefusedError
from tests.factories import NOON, make_funded_team, make_user
from tests.gateway.offers import list_short_model
from usage.models import UsageEvent

pytestmark = pytest.mark.django_db

LAPSED = NOON + timedelta(seconds=settings.HOLD_SECONDS + 1)
CREDITS = 100


@pytest.fixture
def team() -> Team:
    """Fund a team for ten tokens of a model whose prompts are free."""
    list_short_model()
    return make_funded_team(ticks=CREDITS)


@pytest.fixture
def secret(team: Team) -> str:
    """Make a key of the team."""
    owner = make_user()
    return api_keys.create(team=team, actor=SYSTEM, owner=owner, name="Key", now=NOON).secret


def arrival(secret: str, tokens: int) -> Arrival:
    messages = [{"role": "user", "content": "x"}]
    body = {"model": "atlas", "messages": messages, "max_tokens": tokens}
    return Arrival(uuid7(), secret, read_chat_request(body, 100))


def clear(
    outcomes: list[Outcome], arrivals: list[Arrival], now: datetime
) -> tuple[list[int], list[Admitted | RefusedError]]:
    return gateway.clear(outcomes, arrivals, offers=gateway.catalog(), now=now)


def admit(secret: str, *tokens: int) -> list[Admitted]:
    _, answers = clear([], [arrival(secret, each) for each in tokens], NOON)
    return [answer for answer in answers if isinstance(answer, Admitted)]


def outcome(admitted: Admitted, tokens: int | None) -> Outcome:
    return Outcome(
        admitted=admitted,
        cluster="near",
        ip="192.0.2.1",
        status=502 if tokens is None else 200,
        is_stream=False,
        first_token_ms=None,
        latency_ms=7,
        quantities=None if tokens is None else {BillingItem.COMPLETION: tokens},
    )


def kept() -> list[Any]:
    """Everything that a batch may change."""
    return [
        sorted(Hold.across_teams.values_list("pk", "state", "ended_at")),
        sorted(Charge.across_teams.values_list("pk", "cost_ticks", "loss_ticks")),
        sorted(UsageEvent.across_teams.values_list("pk", "cost_ticks", "at")),
        sorted(BillingAccount.across_teams.values_list("held_ticks")),
    ]


@pytest.mark.parametrize("is_late", [False, True], ids=["in time", "after the holds lapsed"])
def test_a_batch_that_is_told_again_changes_nothing_and_gets_the_same_answers(
    secret: str,
    is_late: bool,  # noqa: FBT001
) -> None:
    served, failed = admit(secret, 3, 4)
    if is_late:
        billing.sweep(now=LAPSED)
    outcomes = [outcome(served, 2), outcome(failed, None)]
    first, _ = clear(outcomes, [], LAPSED)
    before = kept()

    again, _ = clear(outcomes, [], LAPSED + timedelta(seconds=1))

    assert again == first == ([0, 0] if is_late else [20, 0])
    assert kept() == before
    assert UsageEvent.across_teams.count() == 2
    assert list(billing.differences()) == []


def test_a_request_that_asks_again_after_a_lost_answer_is_held_once(
    team: Team, secret: str
) -> None:
    asking = arrival(secret, 10)
    _, first = clear([], [asking], NOON)

    _, again = clear([], [asking], NOON)

    assert again == first
    assert Hold.of(team).count() == 1
    assert billing.balance(team, now=NOON).held_ticks == 100
    assert list(billing.differences()) == []


def test_what_is_settled_late_is_not_given_back_to_a_request_that_is_refused_with_it(
    team: Team, secret: str
) -> None:
    late, live = admit(secret, 4, 6)
    billing.renew([live.request_id], until=LAPSED + timedelta(minutes=1))

    costs, [answer] = clear([outcome(late, 4)], [arrival(secret, 5)], LAPSED)

    assert costs == [40]
    assert isinstance(answer, RefusedError)
    assert list(billing.differences()) == []
    assert billing.balance(team, now=LAPSED).held_ticks == 60
    assert Hold.across_teams.get(pk=late.request_id).state == Hold.State.SETTLED


def test_what_lapsed_pays_for_a_request_in_the_same_moment(team: Team, secret: str) -> None:
    admit(secret, 10)

    _, [answer] = clear([], [arrival(secret, 10)], LAPSED)

    assert isinstance(answer, Admitted)
    assert list(billing.differences()) == []
    assert billing.balance(team, now=LAPSED).held_ticks == 100


def test_a_key_of_one_team_never_spends_the_credits_of_another(secret: str) -> None:
    poor = make_funded_team(ticks=10)
    key = api_keys.create(team=poor, actor=SYSTEM, owner=make_user(), name="Key", now=NOON)

    _, answers = clear([], [arrival(secret, 10), arrival(key.secret, 10)], timezone.now())

    tokens = [answer.max_tokens for answer in answers if isinstance(answer, Admitted)]
    assert tokens == [10, 1]
