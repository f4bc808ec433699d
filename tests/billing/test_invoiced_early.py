"""What a team can do, and reads, in a month that is invoiced before its end."""

from datetime import timedelta

import pytest
from django.core import mail
from django.test import Client

from accounts.actors import SYSTEM
from accounts.models import Team
from billing import services as billing
from billing.models import BillingAccount
from billing.rules import TICKS_PER_USD, months_later
from tests.billing.pages import give, page, text
from tests.billing.spending import keep_card, make_invoiced_team, spend_ticks
from tests.factories import NOON

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

LIMIT = 100 * TICKS_PER_USD
NEXT_MONTH = months_later(NOON, 1)


@pytest.fixture
def team(team: Team) -> Team:
    """Let a team be invoiced $85 before its month is over."""
    keep_card(team)
    billing.set_spending_limit(team=team, actor=SYSTEM, limit_ticks=LIMIT, now=NOON)
    spend_ticks(team, 85 * TICKS_PER_USD)
    billing.close_now(team=team, actor=SYSTEM, now=NOON)
    return team


def test_the_limit_is_not_raised_before_the_month_is_over(team: Team) -> None:
    with pytest.raises(billing.SpendingLimitError, match="can be raised again from 1 April on"):
        billing.set_spending_limit(team=team, actor=SYSTEM, limit_ticks=1, now=NOON)
    billing.set_spending_limit(team=team, actor=SYSTEM, limit_ticks=0, now=NOON)

    billing.set_spending_limit(team=team, actor=SYSTEM, limit_ticks=LIMIT, now=NEXT_MONTH)

    assert billing.balance(team, now=NEXT_MONTH).invoice_left_ticks == LIMIT


def test_what_the_month_cost_stays_in_sight(alice: Client, team: Team) -> None:
    standing = billing.balance(team, now=NOON)
    words = text(alice.get(page("credits", team)))

    assert standing.charged_ticks == standing.accrued_ticks == 85 * TICKS_PER_USD
    assert standing.available_ticks == 0
    assert "Spent in March $85.00" in words
    assert "Nothing more is invoiced in March. It was closed early. Until 1 April, 00:00" in words
    assert "spending limit above $0.00" not in words
    assert "Change limit" not in words
    assert "Nothing more is invoiced this month" in text(alice.get(page("invoice_preview", team)))


def test_no_mail_tells_of_parts_of_a_limit_that_is_over(team: Team) -> None:
    mail.outbox.clear()

    billing.send_notices(now=NOON + timedelta(minutes=1))

    assert mail.outbox == []
    assert BillingAccount.of(team).get().spending_limit_ticks == 0


def test_a_month_never_has_more_than_its_hard_limit_on_invoices() -> None:
    team = make_invoiced_team(usd=100)
    billing.set_hard_limit(team=team, actor=SYSTEM, limit_ticks=LIMIT, now=NOON)
    spend_ticks(team, LIMIT)
    billing.close_now(team=team, actor=SYSTEM, now=NOON)

    with pytest.raises(billing.SpendingLimitError):
        billing.set_spending_limit(team=team, actor=SYSTEM, limit_ticks=LIMIT, now=NOON)

    assert billing.balance(team, now=NOON).available_ticks == 0


def test_no_limit_is_advised_when_credits_end_before_the_month(alice: Client, team: Team) -> None:
    give(team, 1)
    spend_ticks(team, TICKS_PER_USD)

    words = text(alice.get(page("credits", team)))

    assert "Requests are refused until you buy credits; they are in force at once." in words
    assert "spending limit above $0.00" not in words
