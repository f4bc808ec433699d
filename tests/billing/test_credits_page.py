"""The page of credits: what it says about the balance and the limit, and to whom."""

import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries

from accounts import services as accounts
from accounts.actors import SYSTEM
from accounts.models import Team
from accounts.rules import Permission
from billing import services as billing
from billing.models import BillingAccount, CreditGrant
from billing.rules import TICKS_PER_USD
from tests.billing.pages import give, page, spend, text
from tests.billing.spending import keep_card
from tests.factories import NOON, make_member, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


def test_the_page_explains_the_balance_and_whose_it_is(alice: Client, team: Team) -> None:
    give(team, 10)
    give(team, 25, kind=CreditGrant.Kind.PREPAID, label="Bought by Alice")
    spend(team, 4)

    words = text(alice.get(page("credits", team)))

    assert "Credits belong to Larkspur Labs and are shared by its members." in words
    assert "Free and promo credits used first, by expiry $6.00" in words
    assert "Prepaid credits used second, by age $25.00" in words
    assert "Available $31.00" in words
    assert "only credits are used. Requests are rejected automatically" in words
    assert "atlas" in words


def test_a_team_without_credits_is_told_that_requests_are_refused(
    alice: Client, team: Team
) -> None:
    words = text(alice.get(page("credits", team)))

    assert "There are no credits yet. Requests are refused until there are some." in words


@pytest.mark.parametrize(("name", "what"), [("credits", "Credits"), ("details", "Billing details")])
def test_what_is_a_persons_own_is_shared_with_nobody(client: Client, name: str, what: str) -> None:
    person = make_user("Bea Holm")
    client.force_login(person)

    words = text(client.get(page(name, accounts.personal_team(person))))

    assert f"{what} belong to your personal team: they are yours alone." in words
    assert "shared by its members" not in words


def test_running_low_and_running_out_are_said_before_and_after(alice: Client, team: Team) -> None:
    give(team, 10)
    assert "Less than" not in text(alice.get(page("credits", team)))

    spend(team, 6)
    assert "Less than $5.00 is left." in text(alice.get(page("credits", team)))

    spend(team, 4)
    assert "Credits are used up. Requests are refused" in text(alice.get(page("credits", team)))


def test_a_member_who_may_only_read_sees_no_buttons(client: Client, team: Team) -> None:
    give(team, 10)
    client.force_login(make_member(team, extra=[Permission.BILLING_READ]))

    response = client.get(page("credits", team))

    assert response.status_code == 200
    assert "Buy credits" not in text(response)
    assert "Change limit" not in text(response)


def test_many_grants_and_entries_cost_no_more_queries_than_few(
    alice: Client,
    team: Team,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    give(team, 10)
    spend(team, 10)
    give(team, 10)
    alice.get(page("credits", team))
    with CaptureQueriesContext(connection) as few:
        alice.get(page("credits", team))
    for _ in range(10):
        give(team, 10)
        spend(team, 7)

    with django_assert_num_queries(len(few)):
        alice.get(page("credits", team))


def test_the_spending_limit_is_changed_in_its_dialog(alice: Client, team: Team) -> None:
    keep_card(team)

    response = alice.post(page("spending_limit", team), {"limit": "200"}, follow=True)

    words = text(response)
    assert "Spending limit changed. It is in force now." in words
    assert "$0.00 of $200.00 on the March invoice" in words
    assert "Resets on 1 April, 00:00 UTC. You can raise it up to $2,000.00." in words


def test_a_limit_is_written_as_the_page_shows_it_and_the_highest_cannot_be_raised(
    alice: Client, team: Team
) -> None:
    keep_card(team)

    words = text(alice.post(page("spending_limit", team), {"limit": "$2,000.00"}, follow=True))

    assert "$0.00 of $2,000.00 on the March invoice" in words
    assert "You can raise it" not in words


@pytest.mark.parametrize(
    ("percents", "sentence"),
    [
        (
            "50, 100",
            "Mail comes at 50% and 100% of the limit, and when requests begin to be refused",
        ),
        ("", "A mail comes when requests begin to be refused, once a month."),
    ],
)
def test_when_mail_comes_is_said_with_percentages_and_without(
    alice: Client, team: Team, percents: str, sentence: str
) -> None:
    words = text(alice.post(page("alerts", team), {"percents": percents}, follow=True))

    assert sentence in words


@pytest.mark.parametrize(
    ("limit", "sentence"),
    [
        ("2000.01", "$2,000.01 is more than $2,000.00"),
        ("$1,000,000", "$1,000,000.00 is more than $2,000.00"),
        ("-1", "-1 is less than $0.00."),
        ("lots", "“lots” is not an amount. Enter one like 25 or 1,250.50."),
        ("", "Enter an amount like 25 or 1,250.50."),
    ],
)
def test_a_wrong_limit_is_explained_in_the_dialog(
    alice: Client, team: Team, limit: str, sentence: str
) -> None:
    response = alice.post(page("spending_limit", team), {"limit": limit})

    assert sentence in text(response)
    assert re.search(r'<dialog id="limit-edit"[^>]* open', response.content.decode())


def test_a_team_that_nothing_is_invoiced_for_is_told_what_helps(alice: Client, team: Team) -> None:
    billing.set_spending_limit(team=team, actor=SYSTEM, limit_ticks=TICKS_PER_USD, now=NOON)
    BillingAccount.of(team).update(invoicing_blocked_at=NOON)

    words = text(alice.get(page("credits", team)))

    assert "requests are refused until it is paid or credits are bought. Pay the invoice" in words
    assert "raise the limit" not in words
    assert "You can raise it" not in words


def test_a_team_that_may_not_be_invoiced_has_no_limit_to_change(alice: Client, team: Team) -> None:
    billing.set_hard_limit(team=team, actor=SYSTEM, limit_ticks=0, now=NOON)

    response = alice.get(page("credits", team))

    assert "Invoicing is not open to Larkspur Labs." in text(response)
    assert "limit-edit" not in response.content.decode()
