"""Two tabs, two clicks, two processes: whoever comes first pays, and nobody pays twice."""

from functools import partial

import pytest

from accounts.actors import Actor, ActorKind
from accounts.models import Team
from billing import services as billing
from billing.models import CreditGrant, Invoice, Payment, Purchase, SandboxPayment
from billing.payments import SANDBOX, Card
from billing.rules import TICKS_PER_CENT
from billing.services.collecting import PATIENCE
from tests.billing.crashes import before_asking, before_charging
from tests.factories import NOON, make_admin, make_funded_team, make_team
from tests.races import race, race_behind

pytestmark = pytest.mark.django_db(transaction=True)

VISA = Card("4242424242424242", expiry_month=12, expiry_year=2030, cvc="123")
ASKS = Card("4000002760003184", expiry_month=12, expiry_year=2030, cvc="123")
AT_ONCE = 8


def begin(team: Team, key: str = "one") -> tuple[Purchase, Actor]:
    actor = Actor.for_user(make_admin(team))
    purchase = billing.begin(
        team=team, actor=actor, amount_cents=2500, idempotency_key=key, now=NOON
    )
    return purchase, actor


def look_again(purchase: Purchase) -> Purchase:
    fresh = Purchase.of(purchase.team).get(pk=purchase.pk)
    return billing.reconcile(purchase=fresh, now=NOON)


def assert_paid_once(team: Team) -> None:
    assert billing.balance(team, now=NOON).available_ticks == 2500 * TICKS_PER_CENT
    assert CreditGrant.of(team).count() == Invoice.of(team).count() == 1
    assert SandboxPayment.objects.filter(status="succeeded").count() == 1
    assert list(billing.differences()) == []


def test_pays_at_the_same_moment_charge_the_card_once() -> None:
    team = make_team()
    purchase, actor = begin(team)

    pay = partial(billing.pay, purchase=purchase, actor=actor, card=VISA, now=NOON)
    results = race(*[pay] * AT_ONCE)

    assert all(isinstance(result, Purchase) for result in results), results
    assert_paid_once(team)


def test_paying_while_the_job_reconciles_charges_and_grants_once() -> None:
    team = make_team()
    purchase, actor = begin(team)

    pay = partial(billing.pay, purchase=purchase, actor=actor, card=VISA, now=NOON)
    look = partial(look_again, purchase)
    results = race(pay, look, pay, look, pay, look)

    assert all(isinstance(result, Purchase) for result in results), results
    billing.reconcile_all(now=NOON)
    assert_paid_once(team)


def test_an_answer_given_twice_at_once_counts_once() -> None:
    team = make_team()
    purchase, actor = begin(team)
    billing.pay(purchase=purchase, actor=actor, card=ASKS, now=NOON)

    approve = partial(billing.confirm, purchase=purchase, actor=actor, approved=True, now=NOON)
    results = race(*[approve] * AT_ONCE)

    assert all(isinstance(result, Purchase) for result in results), results
    assert_paid_once(team)


def test_a_second_card_waits_for_the_first_to_be_decided() -> None:
    team = make_team()
    purchase, actor = begin(team)

    [result] = race_behind(
        # Another process is about to try a card.
        lambda: (billing.lock_account(team), before_asking(purchase, actor)),
        lambda: billing.pay(purchase=purchase, actor=actor, card=VISA, now=NOON),
    )

    assert isinstance(result, Purchase), result
    assert result.status == Purchase.Status.PROCESSING
    assert SandboxPayment.objects.count() == 0


def test_a_payment_that_is_given_up_while_it_is_charged_is_told_once() -> None:
    team = make_team()
    purchase, actor = begin(team)
    payment = before_charging(purchase, actor)
    late = NOON + PATIENCE

    race(
        partial(billing.reconcile_all, now=late),
        partial(SANDBOX.charge, reference=payment.reference, is_off_session=False),
        partial(billing.reconcile_all, now=late),
    )
    billing.reconcile_all(now=late)

    taken = SandboxPayment.objects.filter(status="succeeded").count()
    assert CreditGrant.of(team).count() == Invoice.of(team).count() == taken
    assert Payment.of(team).get().decided_at is not None
    assert list(billing.differences()) == []


def test_one_form_sent_several_times_at_once_begins_one_purchase() -> None:
    team = make_team()
    actor = Actor.for_user(make_admin(team))

    send = partial(
        billing.begin, team=team, actor=actor, amount_cents=2500, idempotency_key="k", now=NOON
    )
    results = race(*[send] * AT_ONCE)

    assert len(set(results)) == 1
    assert Purchase.of(team).count() == 1


def test_receipts_of_simultaneous_purchases_are_numbered_without_gaps() -> None:
    bought = [begin(make_team()) for _ in range(AT_ONCE)]

    race(
        *[
            partial(billing.pay, purchase=purchase, actor=actor, card=VISA, now=NOON)
            for purchase, actor in bought
        ]
    )

    numbers = Invoice.across_teams.values_list("number", flat=True)
    assert sorted(numbers) == list(range(1, AT_ONCE + 1))
    assert list(billing.differences()) == []


def test_simultaneous_grants_with_one_key_grant_once() -> None:
    team = make_funded_team(ticks=500)
    give = partial(
        billing.grant,
        team=team,
        actor=Actor(ActorKind.STAFF, "Staff"),
        kind=CreditGrant.Kind.FREE,
        amount_ticks=1000,
        label="Welcome",
        idempotency_key="welcome",
        now=NOON,
    )

    results = race(*[give] * AT_ONCE)

    assert len(set(results)) == 1, results
    assert billing.balance(team, now=NOON).available_ticks == 1500


def test_the_ledger_is_checked_as_of_one_moment_while_money_moves() -> None:
    team = make_team()
    purchase, actor = begin(team)

    with billing.snapshot():
        before = billing.ledger_size()
        race(partial(billing.pay, purchase=purchase, actor=actor, card=VISA, now=NOON))
        found, after = list(billing.differences()), billing.ledger_size()

    assert found == []
    assert before == after == (0, 0)
    assert billing.ledger_size() == (1, 1)
