"""How the demo world's teams pay: by cards, and by a bank transfer that is awaited."""

from datetime import datetime, timedelta

from accounts.actors import Actor
from accounts.models import Team
from billing import services as billing
from billing.services import Card


def buy(team: Team, *, by: Actor, usd: int, key: int, now: datetime) -> None:
    """Buy with a card that is entered, as a guest does; from then on it is on file."""
    purchase = billing.begin(
        team=team, actor=by, amount_cents=usd * 100, idempotency_key=f"demo:{key}", now=now
    )
    card = Card(number="4242424242424242", expiry_month=11, expiry_year=now.year + 4, cvc="123")
    billing.pay(purchase=purchase, actor=by, card=card, now=now + timedelta(minutes=2))


def announce_transfer(team: Team, *, by: Actor, now: datetime) -> None:
    """Begin a bank transfer that will arrive by itself in two business days."""
    billing.begin_transfer(
        team=team,
        actor=by,
        amount_cents=50_000,
        idempotency_key="demo:transfer",
        now=now,
    )
