"""Teams that spend and pay: requests held and settled, cards put on file, credits bought."""

from datetime import datetime, timedelta

from uuid_utils.compat import uuid7

from accounts.actors import SYSTEM, Actor
from accounts.models import Team
from billing import services as billing
from billing.models import PaymentMethod, Purchase
from billing.payments import Card
from billing.rules import TICKS_PER_USD, BillingItem, Line
from billing.services import HoldRequest, Settled, Settlement
from tests.factories import NOON, make_admin, make_team

PAYS, DECLINES = "4242424242424242", "4000000000000341"


def spend(team: Team, *lines: Line, now: datetime = NOON, model: str = "atlas") -> Settled:
    """Serve one request that used this, held for exactly what it costs."""
    cost = sum(line.cost_ticks for line in lines)
    request = HoldRequest(uuid7(), team.pk, cost, 0, 1)
    (answer,) = billing.reserve([request], now=now, until=now + timedelta(minutes=2))
    assert isinstance(answer, billing.Ceiling), answer
    (settled,) = billing.settle([Settlement(request.request_id, team.pk, model, lines)], now=now)
    return settled


def spend_ticks(team: Team, ticks: int, *, now: datetime = NOON) -> Settled:
    return spend(team, Line(BillingItem.COMPLETION, ticks, 1), now=now)


def make_invoiced_team(*, usd: int = 100, name: str = "") -> Team:
    """Make a team without credits that lets itself be invoiced so much a month."""
    team = make_team(name)
    make_admin(team, name="Alice")
    billing.set_spending_limit(team=team, actor=SYSTEM, limit_ticks=usd * TICKS_PER_USD, now=NOON)
    return team


def card(number: str = PAYS) -> Card:
    return Card(number=number, expiry_month=12, expiry_year=2099, cvc="123")


def keep_card(team: Team, number: str = PAYS, *, now: datetime = NOON) -> PaymentMethod:
    """Put a card on file, as a person does by hand; the first becomes the default."""
    actor = Actor.for_user(make_admin(team))
    method = billing.enter_card(team=team, actor=actor, card=card(number), now=now)
    return billing.add_method(team=team, actor=actor, method=method, now=now)


def buy(team: Team, *, cents: int = 2_500, number: str = PAYS, now: datetime = NOON) -> Purchase:
    """Buy credits with a card that is entered for it."""
    actor = Actor.for_user(make_admin(team))
    purchase = billing.begin(
        team=team, actor=actor, amount_cents=cents, idempotency_key=str(uuid7()), now=now
    )
    return billing.pay(purchase=purchase, actor=actor, card=card(number), now=now)
