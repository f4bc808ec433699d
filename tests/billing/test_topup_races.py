"""Several processes that look at once who is short: each top-up is bought and paid once."""

import pytest

from accounts.models import Team
from billing import services as billing
from billing.models import BillingAccount, CreditGrant, Payment, Purchase, SandboxPayment
from tests.billing.spending import keep_card
from tests.billing.test_topups import person, rule
from tests.factories import NOON, make_team
from tests.races import race, race_behind

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def team() -> Team:
    team = make_team("Larkspur")
    keep_card(team)
    rule(team, trigger=20, amount=50)
    return team


def test_eight_runs_at_once_buy_once(team: Team) -> None:
    race(*[lambda: billing.run_top_ups(now=NOON)] * 8)

    purchase = Purchase.of(team).get(kind=Purchase.Kind.AUTO)
    assert purchase.status == Purchase.Status.SUCCEEDED
    assert Payment.of(team).count() == SandboxPayment.objects.count() == 1
    assert CreditGrant.of(team).count() == 1


def test_a_rule_that_is_switched_off_meanwhile_buys_nothing(team: Team) -> None:
    def lock() -> None:
        list(BillingAccount.of(team).select_for_update())
        billing.switch_off_top_up(team=team, actor=person(team), now=NOON)

    race_behind(lock, lambda: billing.run_top_ups(now=NOON))

    assert not Purchase.of(team).exists()


def test_a_transfer_that_arrives_in_many_hands_is_credited_once(team: Team) -> None:
    actor = person(team)
    purchase = billing.begin_transfer(
        team=team, actor=actor, amount_cents=25_000, idempotency_key="k", now=NOON
    )

    race(
        *[lambda: billing.transfer_arrived(purchase=purchase, actor=actor, now=NOON)] * 4,
        *[lambda: billing.cancel_transfer(purchase=purchase, actor=actor, now=NOON)] * 4,
    )

    purchase.refresh_from_db()
    assert purchase.status == Purchase.Status.SUCCEEDED
    assert CreditGrant.of(team).count() == 1
