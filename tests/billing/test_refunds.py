"""Paying back what is unspent of a purchase: once, never more than remains, and to the cent."""

from datetime import timedelta
from decimal import Decimal
from functools import partial

import pytest
from pytest_django import Settings

from accounts.actors import SYSTEM, Actor
from accounts.consequences import BlockedError
from accounts.models import Team
from billing import services as billing
from billing.models import (
    BillingAccount,
    CreditGrant,
    Invoice,
    LedgerEntry,
    Purchase,
    Refund,
    SandboxPayment,
    SandboxRefund,
)
from billing.rules import TICKS_PER_CENT, TICKS_PER_USD
from billing.services import HoldRequest, RefundError, Standing, refunds
from billing.services.closing import close_account
from tests.billing.spending import buy, spend_ticks
from tests.factories import NOON, make_admin, make_team, make_user
from tests.races import race

pytestmark = pytest.mark.django_db

LATER = NOON + timedelta(days=1)


@pytest.fixture
def team() -> Team:
    return make_team("Larkspur Labs")


def give_back(purchase: Purchase) -> Refund:
    return billing.refund(
        purchase=purchase,
        actor=Actor.for_user(make_user("Sam Support")),
        reason="Withdrawn within 14 days",
        now=LATER,
    )


def grant_of(purchase: Purchase) -> CreditGrant:
    return CreditGrant.of(purchase.team).get(idempotency_key=purchase.grant_key)


def break_processor_record(purchase: Purchase) -> None:
    """Let the sandbox believe that everything was paid back before, so that it refuses."""
    SandboxPayment.objects.update(refunded_cents=purchase.total_cents)


def assert_clean() -> None:
    assert list(billing.differences()) == []


def test_what_is_unspent_goes_back_with_a_credit_note_and_the_tier_stays(
    team: Team, settings: Settings
) -> None:
    settings.TAX_PERCENT = Decimal("19.00")
    purchase = buy(team, cents=5_000)
    spend_ticks(team, 12 * TICKS_PER_USD + 1)

    refund = give_back(purchase)

    # 37.99999999 dollars are left; the part of a cent stays. 19 % of 37.99 are 7.2181.
    assert (refund.status, refund.amount_cents, refund.tax_cents) == ("succeeded", 3_799, 722)
    assert SandboxRefund.objects.get().amount_cents == 3_799 + 722
    assert grant_of(purchase).remaining_ticks == TICKS_PER_CENT - 1
    note = Invoice.of(team).get(kind=Invoice.Kind.CREDIT)
    assert (note.reference, note.subtotal_cents, note.tax_cents) == ("C-000001", 3_799, 722)
    assert BillingAccount.of(team).get().paid_ticks == 50 * TICKS_PER_USD
    assert billing.tier(team).tier == 1
    assert_clean()


def test_all_of_it_goes_back_with_all_of_its_tax(team: Team, settings: Settings) -> None:
    settings.TAX_PERCENT = Decimal("7.70")
    purchase = buy(team, cents=3_333)

    refund = give_back(purchase)

    assert (refund.amount_cents, refund.tax_cents) == (3_333, purchase.tax_cents)
    assert_clean()


def test_a_purchase_is_refunded_once(team: Team) -> None:
    purchase = buy(team)
    give_back(purchase)

    with pytest.raises(RefundError, match="refunded before"):
        give_back(purchase)
    assert SandboxRefund.objects.count() == 1
    assert_clean()


def test_what_is_spent_or_not_paid_cannot_go_back(team: Team) -> None:
    spent = buy(team)
    spend_ticks(team, 25 * TICKS_PER_USD)
    with pytest.raises(RefundError, match="used up"):
        give_back(spent)

    refused = buy(team, number="4000000000000341")
    with pytest.raises(RefundError, match="not paid"):
        give_back(refused)
    assert not Refund.of(team).exists()


def test_other_credits_are_left_alone(team: Team) -> None:
    first, second = buy(team), buy(team)

    give_back(second)

    assert grant_of(first).remaining_ticks == 25 * TICKS_PER_USD
    assert grant_of(second).remaining_ticks == 0
    assert_clean()


def test_what_requests_in_flight_were_promised_stays(team: Team) -> None:
    """Or it would go on the invoice of a team that chose not to be invoiced."""
    purchase = buy(team)
    request = HoldRequest(team.pk, team.pk, 10 * TICKS_PER_USD, 0, 1)
    billing.reserve([request], now=LATER, until=LATER + timedelta(minutes=1))

    refund = give_back(purchase)

    assert refund.amount_cents == 1_500
    lines = [billing.Line(billing.BillingItem.COMPLETION, 10 * TICKS_PER_USD, 1)]
    settlement = billing.Settlement(request.request_id, team.pk, "atlas", lines)
    billing.settle([settlement], now=LATER)
    assert billing.balance(team, now=LATER).accrued_ticks == 0
    assert_clean()


def test_a_refund_that_the_processor_refuses_brings_the_credits_back(team: Team) -> None:
    purchase = buy(team)
    break_processor_record(purchase)

    refund = give_back(purchase)

    assert refund.status == Refund.Status.FAILED
    assert grant_of(purchase).remaining_ticks == 25 * TICKS_PER_USD
    kinds = LedgerEntry.of(team).order_by("pk").values_list("kind", flat=True)
    assert list(kinds) == ["grant", "refund", "reversal"]
    assert not Invoice.of(team).filter(kind=Invoice.Kind.CREDIT).exists()
    assert_clean()


def test_one_that_failed_can_be_made_anew(team: Team) -> None:
    purchase = buy(team)
    break_processor_record(purchase)
    give_back(purchase)
    SandboxPayment.objects.update(refunded_cents=0)

    again = billing.refund(
        purchase=purchase,
        actor=Actor.for_user(make_user()),
        reason="Once more",
        now=LATER + timedelta(hours=1),
    )

    assert again.status == Refund.Status.SUCCEEDED
    assert grant_of(purchase).remaining_ticks == 0
    assert_clean()


def test_a_refund_that_a_crash_cut_off_is_made_by_the_job_once(team: Team) -> None:
    """Between the commit and the call, and between the answer and our books."""
    unasked, unheard = buy(team), buy(team)
    for purchase in (unasked, unheard):
        cut_off(purchase)
    refund = Refund.of(team).get(purchase=unheard)
    refunds.ask_processor(refund, refund.purchase.payments.get())

    billing.reconcile_refunds(now=LATER)
    billing.reconcile_refunds(now=LATER)

    assert {refund.status for refund in Refund.of(team)} == {Refund.Status.SUCCEEDED}
    assert SandboxRefund.objects.count() == 2
    assert Invoice.of(team).filter(kind=Invoice.Kind.CREDIT).count() == 2
    assert_clean()


def cut_off(purchase: Purchase) -> Refund:
    """Do what `refund` commits before it asks the processor."""
    actor = Actor.for_user(make_user())
    return refunds.begin_refund(purchase=purchase, actor=actor, reason="Law", now=LATER)


def test_credits_that_expire_meanwhile_wait_for_their_refund(
    team: Team, settings: Settings
) -> None:
    settings.PREPAID_EXPIRY_MONTHS = 1
    purchase = buy(team)
    request = HoldRequest(team.pk, team.pk, 5 * TICKS_PER_USD, 0, 1)
    billing.reserve([request], now=LATER, until=LATER + timedelta(minutes=1))
    refund = cut_off(purchase)
    expired = NOON + timedelta(days=40)
    billing.sweep(now=expired)
    assert billing.expire_grants(now=expired) == 0

    break_processor_record(purchase)
    billing.reconcile_refunds(now=expired)

    assert grant_of(purchase).remaining_ticks == 25 * TICKS_PER_USD
    assert billing.expire_grants(now=expired) == 1
    refund.refresh_from_db()
    assert refund.status == Refund.Status.FAILED
    assert_clean()


def test_a_team_cannot_end_while_a_refund_is_on_its_way(team: Team) -> None:
    cut_off(buy(team))

    with pytest.raises(BlockedError, match="refund is on its way"):
        close_account(team=team, actor=SYSTEM, now=LATER)


def test_a_bank_transfer_goes_back_when_staff_say_so(team: Team) -> None:
    purchase = transferred(team)

    refund = give_back(purchase)
    assert refund.status == Refund.Status.PENDING
    assert grant_of(purchase).remaining_ticks == 0
    billing.reconcile_refunds(now=LATER)
    billing.settle_transfer_refund(refund=refund, is_paid=True, now=LATER)
    billing.settle_transfer_refund(refund=refund, is_paid=False, now=LATER)

    refund.refresh_from_db()
    assert refund.status == Refund.Status.SUCCEEDED
    assert Invoice.of(team).filter(kind=Invoice.Kind.CREDIT).count() == 1
    assert_clean()


def test_a_bank_that_does_not_take_it_brings_the_credits_back(team: Team) -> None:
    purchase = transferred(team)

    billing.settle_transfer_refund(refund=give_back(purchase), is_paid=False, now=LATER)

    assert grant_of(purchase).remaining_ticks == 25 * TICKS_PER_USD
    assert_clean()


def test_what_a_card_paid_is_not_for_staff_to_settle(team: Team) -> None:
    refund = cut_off(buy(team))

    with pytest.raises(RefundError):
        billing.settle_transfer_refund(refund=refund, is_paid=True, now=LATER)


@pytest.mark.parametrize(
    ("spent", "standing"), [(0, Standing.REFUNDED), (10, Standing.PARTLY_REFUNDED)]
)
def test_a_grant_says_that_it_was_refunded_and_not_that_it_is_used_up(
    team: Team, spent: int, standing: Standing
) -> None:
    purchase = buy(team)
    spend_ticks(team, spent * TICKS_PER_USD)

    give_back(purchase)

    assert standing_of(team) == standing


def test_a_grant_is_being_refunded_until_the_money_is_there_or_comes_back(team: Team) -> None:
    purchase = transferred(team)

    refund = give_back(purchase)
    assert standing_of(team) == Standing.BEING_REFUNDED

    billing.settle_transfer_refund(refund=refund, is_paid=False, now=LATER)
    assert standing_of(team) == Standing.IN_USE
    spend_ticks(team, 25 * TICKS_PER_USD)
    assert standing_of(team) == Standing.USED_UP


def standing_of(team: Team) -> Standing:
    (row,) = billing.standings(team, now=LATER)
    return row.standing


@pytest.mark.parametrize("is_paid", [True, False])
def test_news_of_an_attempt_that_failed_decides_nothing_about_the_next_one(
    team: Team, *, is_paid: bool
) -> None:
    purchase = transferred(team)
    failed = give_back(purchase)
    billing.settle_transfer_refund(refund=failed, is_paid=False, now=LATER)
    again = billing.refund(
        purchase=purchase,
        actor=Actor.for_user(make_user()),
        reason="Once more",
        now=LATER + timedelta(microseconds=1),
    )

    billing.settle_transfer_refund(refund=failed, is_paid=is_paid, now=LATER)

    again.refresh_from_db()
    assert again.status == Refund.Status.PENDING
    assert grant_of(purchase).remaining_ticks == 0
    assert_clean()


def transferred(team: Team) -> Purchase:
    actor = Actor.for_user(make_admin(team))
    purchase = billing.begin(
        team=team,
        actor=actor,
        amount_cents=2_500,
        idempotency_key="transfer",
        kind=Purchase.Kind.TRANSFER,
        now=NOON,
    )
    return billing.transfer_arrived(purchase=purchase, actor=actor, now=NOON)


@pytest.mark.django_db(transaction=True)
def test_staff_who_refund_at_once_refund_once(team: Team) -> None:
    purchase = buy(team)

    outcomes = race(*[partial(give_back, purchase)] * 4)

    assert sum(isinstance(outcome, Refund) for outcome in outcomes) == 1
    assert SandboxRefund.objects.count() == 1
    assert_clean()


@pytest.mark.django_db(transaction=True)
def test_requests_and_a_refund_at_once_never_take_more_than_there_is(team: Team) -> None:
    purchase = buy(team)

    race(partial(give_back, purchase), *[partial(spend_ticks, team, 5 * TICKS_PER_USD)] * 5)

    assert grant_of(purchase).remaining_ticks >= 0
    assert billing.balance(team, now=LATER).accrued_ticks == 0
    assert_clean()
