"""The invoice of the running month, before it is one."""

from datetime import UTC, datetime

import pytest
import time_machine
from django.test import Client
from uuid_utils.compat import uuid7

from accounts.actors import SYSTEM
from accounts.models import Team
from billing import services as billing
from billing.models import Invoice, InvoiceSeries
from billing.rules import TICKS_PER_CENT, TICKS_PER_USD, BillingItem, Line
from tests.billing.pages import give, page, text
from tests.billing.spending import spend
from tests.factories import NOON

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

IN_APRIL = datetime(2026, 4, 9, tzinfo=UTC)
MINUS = "\N{MINUS SIGN}"


@pytest.fixture
def invoiced(team: Team) -> Team:
    """Let the team be invoiced."""
    limit = 100 * TICKS_PER_USD
    billing.set_spending_limit(team=team, actor=SYSTEM, limit_ticks=limit, now=NOON)
    return team


def use(team: Team, cents: int, *, now: datetime = NOON) -> None:
    spend(team, Line(BillingItem.COMPLETION, cents, TICKS_PER_CENT), now=now)


def read(alice: Client, team: Team) -> str:
    return text(alice.get(page("invoice_preview", team)))


def test_it_is_the_invoice_that_the_month_would_have_now(alice: Client, invoiced: Team) -> None:
    give(invoiced, 1)
    use(invoiced, 350)

    words = read(alice, invoiced)

    assert "March 2026 so far" in words
    assert "It grows until the end of 31 March, UTC." in words
    assert f"Usage $3.50 Paid by credits {MINUS}$1.00 Total (USD) $2.50" in words


def test_what_went_beyond_a_hold_is_explained(alice: Client, invoiced: Team) -> None:
    told = "“Used but not charged” is what requests used beyond what was held for them"
    use(invoiced, 100)
    assert told not in read(alice, invoiced)
    request = billing.HoldRequest(uuid7(), invoiced.pk, TICKS_PER_CENT, 0, 1)
    billing.reserve([request], now=NOON, until=NOON)
    lines = [Line(BillingItem.COMPLETION, 3, TICKS_PER_CENT)]
    billing.settle([billing.Settlement(request.request_id, invoiced.pk, "atlas", lines)], now=NOON)

    words = read(alice, invoiced)

    assert f"Used but not charged {MINUS}$0.02" in words
    assert told in words


def test_to_look_at_it_issues_nothing(alice: Client, invoiced: Team) -> None:
    use(invoiced, 350)

    read(alice, invoiced)

    assert not Invoice.of(invoiced).exists()
    assert not InvoiceSeries.objects.exists()


def test_a_month_without_usage_says_what_will_be_there(alice: Client, team: Team) -> None:
    assert "Nothing used this month" in read(alice, team)


def test_credits_that_paid_for_everything_leave_no_invoice(alice: Client, team: Team) -> None:
    give(team, 5)
    use(team, 350)

    assert "Credits have paid for everything so far." in read(alice, team)


def test_too_little_to_be_charged_is_said_to_go_on_the_next(alice: Client, invoiced: Team) -> None:
    use(invoiced, 49)
    assert "Less than $0.50 cannot be charged." in read(alice, invoiced)
    billing.close_months(now=IN_APRIL)
    use(invoiced, 30, now=IN_APRIL)

    with time_machine.travel(IN_APRIL, tick=False):
        alice.force_login(invoiced.memberships.get().user)
        words = read(alice, invoiced)

    assert "cannot be charged" not in words
    assert "Includes what was too little to be charged in March 2026." in words
    assert "Completion text tokens of March 2026 49" in words
    assert "Total (USD) $0.79" in words
