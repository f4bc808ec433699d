"""Collecting the invoices of months: at issue and on four days after, then invoicing stops."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial

import pytest
from django.core import mail
from pytest_django import Settings

from accounts.actors import SYSTEM, Actor
from accounts.models import Team
from accounts.one_by_one import SomeFailedError
from audit.models import AuditEvent
from billing import services as billing
from billing.models import (
    BillingAccount,
    Invoice,
    Payment,
    PaymentMethod,
    ProcessorCustomer,
    Receivable,
)
from billing.rules import TICKS_PER_USD
from billing.services import HoldRequest, Refusal
from tests.billing.spending import DECLINES, keep_card, make_invoiced_team, spend_ticks
from tests.factories import make_admin
from tests.races import race

pytestmark = pytest.mark.django_db

ISSUED = datetime(2026, 4, 1, 0, 5, tzinfo=UTC)
ASKS_EACH_TIME = "4000002760003184"


def day(days: int) -> datetime:
    return ISSUED + timedelta(days=days)


def owing(*, usd: int = 20, number: str | None = DECLINES) -> Team:
    """Make a team that owes an invoice for March, with such a card as its default."""
    team = make_invoiced_team(name="Larkspur Labs")
    if number:
        keep_card(team, number)
    spend_ticks(team, usd * TICKS_PER_USD)
    billing.close_months(now=ISSUED)
    mail.outbox.clear()  # That it was issued.
    return team


def owed(team: Team) -> Receivable:
    return Receivable.of(team).select_related("invoice__team").get()


def is_blocked(team: Team) -> bool:
    return BillingAccount.of(team).get().invoicing_blocked_at is not None


def ask(team: Team, now: datetime) -> object:
    request = HoldRequest(team.pk, team.pk, 1, 0, 1)
    return billing.reserve([request], now=now, until=now + timedelta(minutes=1))[0]


def assert_clean() -> None:
    assert list(billing.differences()) == []


def test_an_invoice_is_paid_with_the_default_method_at_issue(settings: Settings) -> None:
    settings.TAX_PERCENT = Decimal("19.00")
    team = owing(number="4242424242424242")

    billing.collect_due(now=ISSUED)

    receivable = owed(team)
    assert (receivable.paid_at, receivable.paid_with) == (ISSUED, "Visa ending 4242")
    assert receivable.next_try_at is None
    payment = Payment.of(team).get()
    assert (payment.amount_cents, payment.is_off_session) == (2_380, True)
    assert BillingAccount.of(team).get().paid_ticks == 20 * TICKS_PER_USD, "without the tax"
    assert not mail.outbox
    assert_clean()


def test_what_is_paid_is_not_collected_again() -> None:
    team = owing(number="4242424242424242")

    for days in range(10):
        billing.collect_due(now=day(days))

    assert Payment.of(team).count() == 1


def test_it_is_tried_on_the_days_1_3_5_and_7_with_a_mail_each_and_then_invoicing_stops() -> None:
    team = owing()
    tried: list[float] = []
    mails: list[str] = []
    told: list[str] = []

    for hour in range(24 * 20):
        now = ISSUED + timedelta(hours=hour)
        mail.outbox.clear()
        billing.collect_due(now=now)
        if mail.outbox:
            tried.append(hour / 24)
            mails.append(str(mail.outbox[-1].body))
            told.append(str(mail.outbox[-1].subject))
            assert is_blocked(team) == (len(tried) == 5)

    assert tried == [0, 1, 3, 5, 7]
    assert "tried again on 2 April" in mails[0]
    assert "tried again on 8 April" in mails[3]
    assert "not tried again" in mails[4]
    assert told == [
        *["Invoice M-000001 of Larkspur Labs could not be collected"] * 4,
        "Invoicing of Larkspur Labs has stopped: invoice M-000001 is unpaid",
    ]
    assert "The bank declined the card." in mails[0]
    assert owed(team).next_try_at is None
    assert_clean()


def test_without_a_method_on_file_each_try_says_to_add_one() -> None:
    team = owing(number=None)

    for days in range(10):
        billing.collect_due(now=day(days))

    assert len(mail.outbox) == 5
    assert "no payment method on file" in str(mail.outbox[0].body)
    assert not Payment.of(team).exists()
    assert is_blocked(team)


def test_the_mail_goes_to_whoever_may_pay() -> None:
    team = owing()

    billing.collect_due(now=ISSUED)

    (sent,) = {tuple(message.to) for message in mail.outbox[:1]}
    assert sent[0].endswith("@example.test")
    assert Invoice.of(team).get().reference in mail.outbox[0].subject


def test_after_a_night_without_jobs_two_tries_are_still_a_day_apart() -> None:
    team = owing()

    billing.collect_due(now=day(4))
    assert owed(team).next_try_at == day(5)
    billing.collect_due(now=day(5))
    assert owed(team).next_try_at == day(6), "of the days planned, day 3 is over"


def test_a_card_that_wants_its_holder_fails_the_try_and_can_be_answered_on_the_page() -> None:
    team = owing(number=ASKS_EACH_TIME)

    billing.collect_due(now=ISSUED)

    assert Payment.of(team).get().failure_code == "authentication_required"
    assert owed(team).tries == 1


def test_overdue_stops_invoicing_but_not_credits_until_it_is_paid() -> None:
    team = owing()
    for days in (0, 1, 3, 5, 7):
        billing.collect_due(now=day(days))
    assert ask(team, day(8)) == Refusal.INVOICE_OVERDUE
    billing.grant(
        team=team,
        actor=SYSTEM,
        kind=billing.GrantKind.PROMO,
        amount_ticks=TICKS_PER_USD,
        label="Sorry",
        idempotency_key="sorry",
        now=day(8),
    )
    spend_ticks(team, TICKS_PER_USD, now=day(8))
    assert ask(team, day(8)) == Refusal.INVOICE_OVERDUE

    pay_now(team, now=day(9))

    assert not is_blocked(team)
    assert isinstance(ask(team, day(9)), billing.Ceiling)
    assert_clean()


def pay_now(team: Team, *, number: str = "4242424242424242", now: datetime) -> Payment:
    return billing.collect(
        target=owed(team).invoice,
        method=keep_card(team, number, now=now),
        actor=Actor.for_user(make_admin(team)),
        now=now,
    )


def test_a_payment_that_fails_on_the_page_is_no_try_and_no_mail() -> None:
    team = owing()

    payment = pay_now(team, number=DECLINES, now=ISSUED)

    assert payment.status == Payment.Status.FAILED
    receivable = owed(team)
    assert (receivable.tries, receivable.next_try_at) == (0, ISSUED)
    assert not mail.outbox
    assert AuditEvent.of(team).filter(operation="PayInvoice", outcome="failed").exists()


def test_no_try_begins_while_a_payment_may_still_turn_out_well() -> None:
    team = owing()
    payment = pay_now(team, number=ASKS_EACH_TIME, now=ISSUED)
    assert payment.status == Payment.Status.REQUIRES_ACTION

    billing.collect_due(now=ISSUED)
    assert owed(team).tries == 0

    # Nobody answered the bank for a day: the next run of the jobs goes on.
    billing.reconcile_all(now=day(1))
    billing.collect_due(now=day(1))
    assert owed(team).tries == 1


def test_one_overdue_invoice_of_two_keeps_invoicing_stopped() -> None:
    team = owing()
    spend_ticks(team, TICKS_PER_USD, now=ISSUED)
    may = datetime(2026, 5, 1, 0, 5, tzinfo=UTC)
    billing.close_months(now=may)
    for days in range(50):
        billing.collect_due(now=day(days))
    first, second = Invoice.of(team).order_by("month")
    card = keep_card(team, now=day(50))
    actor = Actor.for_user(make_admin(team))

    billing.collect(target=first, method=card, actor=actor, now=day(50))
    assert is_blocked(team)
    billing.collect(target=second, method=card, actor=actor, now=day(50))
    assert not is_blocked(team)
    assert_clean()


def test_a_try_that_a_crash_cut_off_is_made_again_and_was_none() -> None:
    """Committed is only the payment: the processor was never asked."""
    team = owing(number="4242424242424242")
    method = PaymentMethod.of(team).get()
    Payment.across_teams.create(
        team=team,
        invoice=owed(team).invoice,
        method=method,
        amount_cents=2_000,
        is_off_session=True,
        started_at=ISSUED,
    )

    later = ISSUED + timedelta(minutes=10)
    billing.reconcile_all(now=later)
    assert (owed(team).tries, mail.outbox) == (0, [])
    billing.collect_due(now=later)

    assert owed(team).paid_at == later
    assert_clean()


def test_a_try_that_was_begun_and_never_written_is_made_after_the_lease() -> None:
    team = owing(number="4242424242424242")
    Receivable.of(team).update(next_try_at=ISSUED + timedelta(hours=1))

    billing.collect_due(now=ISSUED + timedelta(minutes=59))
    assert owed(team).paid_at is None
    billing.collect_due(now=ISSUED + timedelta(hours=1))
    assert owed(team).paid_at


def test_one_invoice_that_cannot_be_tried_keeps_no_other_waiting() -> None:
    broken = owing(number="4242424242424242")
    ProcessorCustomer.of(broken).delete()
    sound = owing(number="4242424242424242")

    with pytest.raises(SomeFailedError):
        billing.collect_due(now=ISSUED)

    assert owed(broken).paid_at is None
    assert owed(sound).paid_at == ISSUED


@pytest.mark.django_db(transaction=True)
def test_workers_at_once_try_once() -> None:
    paying, declined = owing(number="4242424242424242"), owing()

    race(*[partial(billing.collect_due, now=ISSUED)] * 4)

    assert Payment.of(paying).count() == 1
    assert (Payment.of(declined).count(), owed(declined).tries) == (1, 1)
    assert_clean()
