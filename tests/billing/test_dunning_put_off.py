"""What could keep an invoice from being tried, and does not: open questions, lost processors."""

from datetime import datetime, timedelta

import pytest
from django.core import mail

from accounts.actors import Actor
from accounts.models import Team
from audit.models import AuditEvent
from billing import services as billing
from billing.models import Payment, PaymentMethod, SandboxPayment
from billing.services.dunning import MOST_UNREACHED
from billing.services.retries import ANSWER_TIME
from tests.billing.spending import card, keep_card
from tests.billing.test_dunning import (
    ASKS_EACH_TIME,
    ISSUED,
    assert_clean,
    day,
    is_blocked,
    owed,
    owing,
    pay_now,
)
from tests.factories import make_admin

pytestmark = pytest.mark.django_db

PAYS = "4242424242424242"
HOUR = timedelta(hours=1)


def told() -> list[str]:
    return [str(message.body) for message in mail.outbox]


def ask_the_bank(team: Team, now: datetime) -> Payment:
    """Begin to pay on the page with a card whose bank asks, and leave the question open."""
    actor = Actor.for_user(make_admin(team))
    method = billing.enter_card(team=team, actor=actor, card=card(ASKS_EACH_TIME), now=now)
    payment = billing.collect(target=owed(team).invoice, method=method, actor=actor, now=now)
    assert payment.status == Payment.Status.REQUIRES_ACTION
    return payment


def test_questions_that_are_declined_and_begun_again_do_not_put_off_the_end() -> None:
    team = owing(number=PAYS)
    actor = Actor.for_user(make_admin(team))
    payment = ask_the_bank(team, ISSUED)

    for hour in range(1, 24 * 9):
        now = ISSUED + hour * HOUR
        if hour % 23 == 0:
            billing.answer_bank(payment=payment, actor=actor, approved=False, now=now)
            payment = ask_the_bank(team, now)
        billing.collect_due(now=now)
        billing.reconcile_all(now=now)
        if hour == 1:
            assert "has not answered the bank's question" in told()[-1]

    assert owed(team).tries == 5
    assert is_blocked(team)
    assert_clean()


def test_who_answers_the_bank_at_once_is_not_told_of_a_try() -> None:
    team = owing(number=PAYS)
    payment = ask_the_bank(team, ISSUED)

    billing.collect_due(now=ISSUED + ANSWER_TIME - timedelta(seconds=1))

    assert owed(team).tries == 0
    billing.answer_bank(
        payment=payment, actor=Actor.for_user(make_admin(team)), approved=True, now=ISSUED
    )
    assert owed(team).paid_at


def test_a_question_that_counted_as_a_try_can_still_be_answered_and_is_paid_once() -> None:
    team = owing(number=PAYS)
    payment = ask_the_bank(team, ISSUED)
    billing.collect_due(now=ISSUED + ANSWER_TIME)
    assert owed(team).tries == 1

    later = ISSUED + 2 * ANSWER_TIME
    actor = Actor.for_user(make_admin(team))
    billing.answer_bank(payment=payment, actor=actor, approved=True, now=later)
    for days in range(1, 9):
        billing.collect_due(now=day(days))

    assert owed(team).paid_at == later
    assert SandboxPayment.objects.filter(status="succeeded").count() == 1
    assert_clean()


def test_a_question_that_nobody_was_there_to_hear_counts_once() -> None:
    """As a crash leaves it between the bank's question and our giving it up."""
    team = owing(number=PAYS)
    ask_the_bank(team, ISSUED)
    Payment.of(team).update(is_off_session=True)

    for hour in range(24):
        billing.collect_due(now=ISSUED + hour * HOUR)
    assert owed(team).tries == 0
    billing.reconcile_all(now=day(1))

    assert owed(team).tries == 1


# --- A card that the processor does not know ----------------------------------------------------


def test_a_card_that_the_processor_knows_no_more_is_a_try_each_time_and_then_invoicing_stops() -> (
    None
):
    team = owing(number=PAYS)
    PaymentMethod.of(team).update(reference="0198c2a5-0000-7000-8000-000000000000")

    for hour in range(24 * 9):
        billing.collect_due(now=ISSUED + hour * HOUR)

    assert Payment.of(team).count() == owed(team).tries == 5
    assert set(Payment.of(team).values_list("failure_code", flat=True)) == {"method_unusable"}
    assert is_blocked(team)
    assert "This card can no longer be used." in told()[0]
    assert_clean()


# --- A processor that cannot be reached ---------------------------------------------------------


def not_reached(team: Team, now: datetime) -> None:
    """Leave a try that a crash cut off before the processor was asked, and have it given up."""
    Payment.across_teams.create(
        team=team,
        invoice=owed(team).invoice,
        method=PaymentMethod.of(team).get(),
        amount_cents=2_000,
        is_off_session=True,
        started_at=now,
    )
    billing.reconcile_all(now=now + timedelta(minutes=5))


def test_a_processor_that_is_out_of_reach_for_an_hour_is_a_try_that_is_told() -> None:
    team = owing(number=PAYS)
    for times in range(MOST_UNREACHED):
        assert (owed(team).tries, told()) == (0, [])
        not_reached(team, ISSUED + times * timedelta(minutes=10))

    assert owed(team).tries == 1
    assert owed(team).next_try_at == day(1)
    assert "did not reach the processor" in told()[0]
    not_reached(team, day(1))
    assert owed(team).tries == 1, "the next day is counted anew"


# --- What is written down -----------------------------------------------------------------------


def test_that_invoicing_stops_and_goes_on_is_in_the_audit_log_once_each() -> None:
    team = owing()
    for days in (0, 1, 3, 5, 7):
        billing.collect_due(now=day(days))

    pay_now(team, now=day(9))

    events = AuditEvent.of(team).filter(operation__in=["BlockInvoicing", "UnblockInvoicing"])
    assert list(events.order_by("pk").values_list("operation", "description")) == [
        ("BlockInvoicing", "Stopped invoicing until invoice M-000001 is paid"),
        ("UnblockInvoicing", "Invoicing goes on: invoice M-000001 is paid"),
    ]


def test_paying_in_time_says_nothing_of_an_end_of_blocking() -> None:
    team = owing(number=None)
    keep_card(team)

    billing.collect_due(now=ISSUED)

    assert owed(team).paid_at
    assert not AuditEvent.of(team).filter(operation="UnblockInvoicing").exists()
