"""The mail about a team that runs out: told once a month, with what helps."""

from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Team
from billing import services as billing
from billing.models import BillingAccount
from tests.billing.news import (
    MINUTE,
    NEXT_MONTH,
    STAFF,
    ask,
    set_limit,
    set_percents,
    subjects,
    told,
    usd,
)
from tests.factories import NOON, make_admin, make_funded_team, make_team

pytestmark = pytest.mark.django_db


@pytest.fixture
def team() -> Team:
    team = make_team("Larkspur")
    make_admin(team, name="Alice")
    set_limit(team, 100)
    return team


@pytest.mark.parametrize("limit", [0, 3])
def test_running_out_is_told_once_a_month(limit: int) -> None:
    team = make_funded_team(usd="5")
    make_admin(team)
    set_limit(team, limit)
    set_percents(team)
    ask(team, 5)
    if limit:
        ask(team, limit)
    assert told() == []

    for _ in range(3):
        assert isinstance(ask(team, 1), billing.Refusal)
    assert subjects() == [f"Requests of {team.name} are refused"]
    assert subjects() == []

    set_limit(team, limit + 2)  # It can pay again, and runs out again.
    ask(team, 2)
    ask(team, 1)
    assert subjects() == []

    ask(team, limit + 3, NEXT_MONTH)
    assert subjects(NEXT_MONTH) == [f"Requests of {team.name} are refused"]


def test_a_team_with_an_overdue_invoice_is_told_to_pay_it(team: Team) -> None:
    BillingAccount.of(team).update(invoicing_blocked_at=NOON)
    ask(team, 10)

    [message] = told()

    assert (
        "nothing more goes on an invoice until it is paid. Pay it, or buy credits" in message.body
    )
    assert "raise the spending limit" not in message.body
    assert "begins anew" not in message.body


def test_the_mail_about_running_out_says_what_helps() -> None:
    team = make_funded_team(usd="5")
    make_admin(team)
    ask(team, 6)

    (message,) = told()

    body = str(message.body)
    assert "Credits left: $5.00" in body, "the request may have cost more than there is"
    assert "Spending limit: $0.00 per month, so only credits are used" in body
    assert "Buy credits, or set a spending limit above $0.00; both are in force at once" in body
    assert "comes once in March" in body


def test_who_cannot_raise_the_limit_is_not_told_to() -> None:
    team = make_funded_team(usd="5")
    make_admin(team)
    billing.set_hard_limit(team=team, actor=STAFF, limit_ticks=0, now=NOON)
    ask(team, 6)

    (message,) = told()

    assert "Buy credits; they are in force at once" in str(message.body)
    assert "above $0.00" not in str(message.body)


def test_a_team_that_never_could_pay_is_not_told_that_it_no_longer_can() -> None:
    team = make_team()
    make_admin(team)
    billing.lock_account(team)

    assert ask(team, 1) == billing.Refusal.NEVER_FUNDED

    assert told() == []


def test_a_key_that_has_reached_its_cap_is_no_news_of_the_team() -> None:
    team = make_funded_team(usd="5")
    make_admin(team)
    request = billing.HoldRequest(uuid4(), team.pk, usd(1), 0, 1, uuid4(), "atlas", 1, 0)

    answers = billing.reserve([request], now=NOON, until=NOON + MINUTE)

    assert answers == [billing.Refusal.KEY_CAP_REACHED]
    assert told() == []


def test_a_flood_of_refusals_writes_its_mark_once() -> None:
    team = make_funded_team(usd="5")
    account = BillingAccount.of(team)

    def version() -> str:
        return str(account.extra(select={"xmin": "xmin::text"}).values_list("xmin").get())

    before = version()
    ask(team, 6)
    first = version()
    for _ in range(3):
        ask(team, 6)

    assert before != first == version(), "the row is written with the first refusal and no other"
    assert account.get().refused_month == NOON.date()


def test_a_worker_whose_clock_is_behind_does_not_take_the_mark_back() -> None:
    team = make_funded_team(usd="5")
    ask(team, 6, NEXT_MONTH)

    ask(team, 6, NOON)

    assert BillingAccount.of(team).get().refused_month == NEXT_MONTH.date()


def test_a_refusal_costs_a_batch_no_statement_more() -> None:
    team = make_funded_team(usd="5")

    def statements(dollars: float) -> int:
        with CaptureQueriesContext(connection) as captured:
            request = billing.HoldRequest(uuid4(), team.pk, usd(dollars), 0, 1)
            billing.reserve([request], now=NOON, until=NOON + MINUTE)
        return len(captured)

    admitted, first, second = statements(1), statements(6), statements(6)

    # Only whether it ever had credits is asked besides.
    assert first == second == admitted + 1
