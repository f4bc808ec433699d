"""Closing months: one invoice per team and month, and not a tick on two of them or on none."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial

import pytest
from pytest_django import Settings
from uuid_utils.compat import uuid7

from accounts.actors import SYSTEM
from accounts.models import Team
from accounts.one_by_one import SomeFailedError
from billing import services as billing
from billing.models import BillingAccount, BillingCycle, Invoice, Receivable
from billing.rules import TICKS_PER_CENT, TICKS_PER_USD, BillingItem, Line
from billing.services import Settlement, months
from tests.billing.spending import make_invoiced_team, spend, spend_ticks
from tests.factories import NOON, make_funded_team
from tests.races import race

pytestmark = pytest.mark.django_db

MARCH, APRIL, MAY = (date(2026, month, 1) for month in (3, 4, 5))
FIRST_OF_APRIL = datetime(2026, 4, 1, 0, 0, tzinfo=UTC)
FIRST_OF_MAY = datetime(2026, 5, 1, 0, 0, tzinfo=UTC)


def assert_clean() -> None:
    assert list(billing.differences()) == []


def invoices(team: Team) -> list[Invoice]:
    return list(Invoice.of(team).filter(kind=Invoice.Kind.MONTH).order_by("month"))


def test_a_month_that_is_over_becomes_one_invoice_to_be_collected() -> None:
    team = make_invoiced_team()
    spend(team, Line(BillingItem.COMPLETION, 1_000, 2 * TICKS_PER_CENT))

    assert billing.close_months(now=FIRST_OF_APRIL) == 1

    (invoice,) = invoices(team)
    assert (invoice.month, invoice.subtotal_cents, invoice.total_cents) == (MARCH, 2_000, 2_000)
    assert Receivable.of(team).get().next_try_at == FIRST_OF_APRIL
    cycle = BillingCycle.of(team).get()
    assert (cycle.invoice, cycle.closed_at) == (invoice, FIRST_OF_APRIL)
    assert_clean()


def test_the_running_month_stays_open() -> None:
    team = make_invoiced_team()
    spend_ticks(team, TICKS_PER_USD)

    assert billing.close_months(now=FIRST_OF_APRIL - timedelta(microseconds=1)) == 0
    assert BillingCycle.of(team).get().closed_at is None


def test_closing_again_does_nothing() -> None:
    team = make_invoiced_team()
    spend_ticks(team, TICKS_PER_USD)
    billing.close_months(now=FIRST_OF_APRIL)

    assert billing.close_months(now=FIRST_OF_APRIL) == 0
    assert months.close(team=team, before=APRIL, actor=SYSTEM, now=FIRST_OF_APRIL) == []
    assert len(invoices(team)) == 1


def test_a_close_that_a_crash_cut_off_after_the_freeze_is_finished_by_the_next() -> None:
    team = make_invoiced_team()
    spend_ticks(team, TICKS_PER_USD)
    months.freeze(team=team, before=APRIL)

    assert billing.close_months(now=FIRST_OF_APRIL) == 1
    assert_clean()


def test_a_month_frozen_before_its_end_is_billed_by_the_job() -> None:
    team = make_invoiced_team()
    spend_ticks(team, TICKS_PER_USD)
    months.freeze(team=team, before=APRIL)

    assert billing.close_months(now=NOON) == 1
    assert_clean()


def test_a_request_that_ends_after_the_close_goes_on_the_next_month() -> None:
    team = make_invoiced_team()
    before = FIRST_OF_APRIL - timedelta(seconds=1)
    request = billing.HoldRequest(team.pk, team.pk, TICKS_PER_USD, 0, 1)
    billing.reserve([request], now=before, until=FIRST_OF_APRIL + timedelta(minutes=1))
    spend_ticks(team, TICKS_PER_USD, now=before)
    billing.close_months(now=FIRST_OF_APRIL)
    lines = [Line(BillingItem.COMPLETION, TICKS_PER_USD, 1)]

    billing.settle([Settlement(request.request_id, team.pk, "atlas", lines)], now=before)

    assert [i.subtotal_cents for i in invoices(team)] == [100]
    assert BillingCycle.of(team).get(month=APRIL).accrued_ticks == TICKS_PER_USD
    billing.close_months(now=FIRST_OF_MAY)
    assert [(i.month, i.subtotal_cents) for i in invoices(team)] == [(MARCH, 100), (APRIL, 100)]
    assert_clean()


def test_a_month_paid_by_credits_alone_has_no_invoice() -> None:
    team = make_funded_team(usd="5")
    spend_ticks(team, TICKS_PER_USD)

    assert billing.close_months(now=FIRST_OF_APRIL) == 0
    assert BillingCycle.of(team).get().closed_at == FIRST_OF_APRIL
    assert_clean()


@pytest.mark.parametrize(
    ("ticks", "billed"),
    [
        (50 * TICKS_PER_CENT - TICKS_PER_CENT // 2 - 1, None),
        (50 * TICKS_PER_CENT - TICKS_PER_CENT // 2, 50),
    ],
)
def test_what_rounds_to_less_than_can_be_charged_has_no_invoice(
    ticks: int, billed: int | None
) -> None:
    team = make_invoiced_team()
    spend_ticks(team, ticks)

    billing.close_months(now=FIRST_OF_APRIL)

    assert [i.subtotal_cents for i in invoices(team)] == ([billed] if billed else [])
    assert_clean()


def test_too_little_goes_on_the_next_invoice_that_is_enough() -> None:
    team = make_invoiced_team()
    spend_ticks(team, 12 * TICKS_PER_CENT)
    billing.close_months(now=FIRST_OF_APRIL)
    spend_ticks(team, 20 * TICKS_PER_CENT, now=FIRST_OF_APRIL)
    billing.close_months(now=FIRST_OF_MAY)
    assert invoices(team) == []
    assert_clean()

    spend_ticks(team, 30 * TICKS_PER_CENT, now=FIRST_OF_MAY)
    billing.close_months(now=FIRST_OF_MAY + timedelta(days=31))

    (invoice,) = invoices(team)
    assert (invoice.month, invoice.subtotal_cents) == (MAY, 62)
    assert set(BillingCycle.of(team).values_list("invoice", flat=True)) == {invoice.pk}
    assert_clean()


def test_months_that_no_job_closed_become_an_invoice_each_oldest_first() -> None:
    team = make_invoiced_team()
    spend_ticks(team, TICKS_PER_USD)
    spend_ticks(team, 2 * TICKS_PER_USD, now=FIRST_OF_APRIL)

    assert billing.close_months(now=FIRST_OF_MAY) == 2

    first, second = invoices(team)
    assert (first.month, first.subtotal_cents, second.subtotal_cents) == (MARCH, 100, 200)
    assert first.number + 1 == second.number
    assert_clean()


def test_the_parts_of_a_cent_are_rounded_once_and_taxed_on_the_rounded_net(
    settings: Settings,
) -> None:
    settings.TAX_PERCENT = Decimal("19.00")
    team = make_invoiced_team()
    third = TICKS_PER_USD // 3  # 33 cents and a third of one.
    for model in ("atlas", "boreas", "calypso"):
        spend(team, Line(BillingItem.COMPLETION, third, 1), model=model)

    billing.close_months(now=FIRST_OF_APRIL)

    (invoice,) = invoices(team)
    # 99.99999999 cents are a dollar; three lines of 33 and one of rounding make it one.
    assert [line["amount_cents"] for line in invoice.lines] == [33, 33, 33, 1]
    assert (invoice.subtotal_cents, invoice.tax_cents, invoice.total_cents) == (100, 19, 119)
    assert_clean()


def test_one_team_that_cannot_be_closed_keeps_no_other_waiting() -> None:
    broken, sound = make_invoiced_team(), make_invoiced_team()
    for team in (broken, sound):
        spend_ticks(team, TICKS_PER_USD)
    BillingCycle.of(broken).update(charged_ticks=2 * TICKS_PER_USD)

    with pytest.raises(SomeFailedError):
        billing.close_months(now=FIRST_OF_APRIL)

    assert invoices(broken) == []
    assert len(invoices(sound)) == 1


def test_the_preview_is_what_the_close_then_bills() -> None:
    team = make_invoiced_team()
    spend_ticks(team, 12 * TICKS_PER_CENT)
    billing.close_months(now=FIRST_OF_APRIL)
    assert billing.preview_month(team, now=FIRST_OF_APRIL) is None
    spend_ticks(team, 3 * TICKS_PER_USD, now=FIRST_OF_APRIL)

    preview = billing.preview_month(team, now=FIRST_OF_APRIL)

    assert preview is not None
    assert (preview.carried_from, preview.is_too_little) == ([MARCH], False)
    billing.close_months(now=FIRST_OF_MAY)
    (invoice,) = invoices(team)
    assert (preview.draft.lines, preview.draft.total_cents) == (invoice.lines, invoice.total_cents)


def test_a_team_that_ends_is_invoiced_at_once_and_nothing_more_after() -> None:
    team = make_invoiced_team()
    spend_ticks(team, TICKS_PER_USD)

    (invoice,) = billing.close_now(team=team, actor=SYSTEM, now=NOON)

    assert (invoice.month, invoice.subtotal_cents) == (MARCH, 100)
    account = BillingAccount.of(team).get()
    assert (account.spending_limit_ticks, account.open_month) == (0, APRIL)
    assert billing.balance(team, now=NOON).available_ticks == 0
    assert billing.close_now(team=team, actor=SYSTEM, now=NOON) == []
    assert billing.close_months(now=FIRST_OF_APRIL) == 0
    assert_clean()


def test_a_request_in_flight_at_that_moment_goes_on_the_next_months_invoice() -> None:
    team = make_invoiced_team()
    spend_ticks(team, TICKS_PER_USD)
    request = billing.HoldRequest(uuid7(), team.pk, TICKS_PER_USD, 0, 1)
    billing.reserve([request], now=NOON, until=NOON + timedelta(minutes=2))
    billing.close_now(team=team, actor=SYSTEM, now=NOON)

    lines = [Line(BillingItem.COMPLETION, TICKS_PER_USD, 1)]
    billing.settle([Settlement(request.request_id, team.pk, "atlas", lines)], now=NOON)

    assert billing.balance(team, now=NOON).available_ticks == 0
    billing.close_months(now=FIRST_OF_MAY)
    assert [i.month for i in invoices(team)] == [MARCH, APRIL]
    assert_clean()


@pytest.mark.django_db(transaction=True)
def test_two_closes_at_once_make_one_invoice() -> None:
    teams = [make_invoiced_team() for _ in range(3)]
    for team in teams:
        spend_ticks(team, TICKS_PER_USD)

    counts = race(*[partial(billing.close_months, now=FIRST_OF_APRIL)] * 4)

    assert sum(int(str(count)) for count in counts) == 3
    assert [len(invoices(team)) for team in teams] == [1, 1, 1]
    assert_clean()


@pytest.mark.django_db(transaction=True)
def test_requests_that_end_while_a_month_is_closed_are_on_one_invoice_each() -> None:
    team = make_invoiced_team()
    before = FIRST_OF_APRIL - timedelta(microseconds=1)
    spend_ticks(team, TICKS_PER_USD, now=before)

    race(
        *[partial(spend_ticks, team, TICKS_PER_USD, now=before)] * 6,
        *[partial(billing.close_months, now=FIRST_OF_APRIL)] * 2,
    )

    billing.close_months(now=FIRST_OF_MAY)
    assert sum(i.subtotal_cents for i in invoices(team)) == 700
    assert_clean()
