"""What a person and their browser do to pay by Stripe."""

from uuid import uuid4

from accounts.actors import Actor
from accounts.models import Team
from billing import services as billing
from billing.models import Payment, PaymentMethod, Purchase
from tests.factories import NOON, make_admin, make_team
from tests.stripe_server import StripeServer

VISA = "4242424242424242"
DECLINED = "4000000000000002"
CHARGE_DECLINED = "4000000000000341"
ASKS = "4000002760003184"
ASKS_THEN_DECLINED = "4000008260003178"


def begin(team: Team | None = None, *, cents: int = 2500) -> tuple[Purchase, Actor]:
    team = team or make_team("Larkspur")
    actor = Actor.for_user(make_admin(team, name="Alice"))
    purchase = billing.begin(
        team=team, actor=actor, amount_cents=cents, idempotency_key=str(uuid4()), now=NOON
    )
    return purchase, actor


def enter(stripe: StripeServer, team: Team, actor: Actor, number: str = VISA) -> PaymentMethod:
    """Enter a card in the browser, the bank's question included, and tell the console of it."""
    setup = billing.begin_entry(team=team)
    stripe.enter_card(setup.reference, setup.client_secret, number)
    return billing.finish_entry(team=team, actor=actor, reference=setup.reference, now=NOON)


def pay(
    stripe: StripeServer, purchase: Purchase, actor: Actor, number: str = VISA, **how: bool
) -> Payment:
    method = enter(stripe, purchase.team, actor, number)
    return billing.collect(target=purchase, method=method, actor=actor, now=NOON, **how)
