"""What a month has cost, and what is to be expected of it: figures by hand, said as estimates."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import time_machine
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from accounts.actors import SYSTEM
from accounts.models import Membership, Team, User
from billing import services as billing
from billing.rules import (
    FORESEEN,
    BillingItem,
    Line,
    Pace,
    Purse,
    last_until,
    pace_since,
)
from tests.billing.pages import give, page, text
from tests.factories import NOON, make_admin, make_team

DAY = timedelta(days=1)
MARCH = datetime(2026, 3, 1, tzinfo=UTC)
# A day's worth of a dollar.
DOLLAR_A_DAY = Pace(billing.TICKS_PER_USD, DAY)


def usd(amount: float) -> int:
    return round(amount * billing.TICKS_PER_USD)


def purse(dollars: float, expires_at: datetime | None = None) -> Purse:
    return Purse(uuid4(), expires_at is None, NOON, expires_at, usd(dollars))


# --- The arithmetic


def test_a_pace_is_measured_over_a_day_at_least_and_not_of_nothing() -> None:
    assert pace_since(MARCH, 100, now=MARCH + DAY - timedelta(microseconds=1)) is None
    assert pace_since(MARCH, 100, now=MARCH + DAY) == Pace(100, DAY)
    assert pace_since(MARCH, 0, now=MARCH + 9 * DAY) is None


def test_credits_last_as_long_as_they_pay_for() -> None:
    assert last_until([purse(3), purse(4.5)], DOLLAR_A_DAY, now=NOON) == NOON + 7.5 * DAY
    assert last_until([], DOLLAR_A_DAY, now=NOON) == NOON


def test_credits_that_expire_first_do_not_last_longer_for_being_many() -> None:
    """$1,000 that expire in three days, then $5: three days and five."""
    purses = [purse(1000, NOON + 3 * DAY), purse(5)]

    assert last_until(purses, DOLLAR_A_DAY, now=NOON) == NOON + 8 * DAY


def test_credits_that_expire_while_others_are_used_pay_for_nothing() -> None:
    """$4 until the 10th day, then $5 that expire on the 2nd, before their turn; then $1."""
    purses = [purse(4, NOON + 10 * DAY), purse(5, NOON + 2 * DAY), purse(1)]

    assert last_until(purses, DOLLAR_A_DAY, now=NOON) == NOON + 5 * DAY


def test_nobody_looks_further_ahead_than_a_year() -> None:
    most = Purse(uuid4(), True, NOON, None, 2**62)  # noqa: FBT003 -- prepaid

    assert last_until([most, most], Pace(1, 31 * DAY), now=NOON) == NOON + FORESEEN


@given(
    st.lists(
        st.tuples(st.integers(0, 2**62), st.none() | st.integers(-(10**6), 10**9)), max_size=5
    ),
    st.integers(1, 2**62),
    st.integers(86_400, 31 * 86_400),
)
def test_credits_never_end_in_the_past_nor_later_than_without_expiry(
    kept: list[tuple[int, int | None]], ticks: int, seconds: int
) -> None:
    pace = Pace(ticks, timedelta(seconds=seconds))
    purses = [
        Purse(
            uuid4(),
            False,  # noqa: FBT003 -- not prepaid
            NOON,
            None if expiry is None else NOON + timedelta(seconds=expiry),
            remaining,
        )
        for remaining, expiry in kept
    ]

    ends_at = last_until(purses, pace, now=NOON)

    assert NOON <= ends_at <= NOON + pace.takes(sum(p.remaining_ticks for p in purses))


# --- The page


@pytest.fixture
def old_team() -> Team:
    """Make a team that was there before March."""
    team = make_team("Larkspur Labs")
    Team.objects.filter(pk=team.pk).update(created_at=MARCH - 90 * DAY)
    make_admin(team, name="Alice")
    return Team.objects.get(pk=team.pk)


def spend(team: Team, dollars: float, at: datetime) -> None:
    request = billing.HoldRequest(uuid4(), team.pk, usd(dollars), 0, 1)
    [answer] = billing.reserve([request], now=at, until=at + DAY)
    assert isinstance(answer, billing.Ceiling)
    lines = [Line(BillingItem.COMPLETION, 1, usd(dollars))]
    billing.settle([billing.Settlement(request.request_id, team.pk, "atlas", lines)], now=at)


def set_limit(team: Team, dollars: float) -> None:
    billing.set_spending_limit(team=team, actor=SYSTEM, limit_ticks=usd(dollars), now=MARCH)


def words(client: Client, team: Team, at: datetime) -> str:
    """Read the page of credits at a moment, as the team's admin."""
    with time_machine.travel(at, tick=False):
        client.force_login(Membership.objects.get(team=team).user)
        return text(client.get(page("credits", team)))


@pytest.mark.django_db
def test_a_month_in_figures_credits_then_the_invoice(client: Client, old_team: Team) -> None:
    """$30 free and a limit of $50; $31 spent in 10 of 31 days, so $96.10 in all."""
    give(old_team, 30)
    set_limit(old_team, 50)
    spend(old_team, 31, MARCH + 4 * DAY)

    page_text = words(client, old_team, MARCH + 10 * DAY)

    assert "Spent in March $31.00" in page_text
    assert "Paid by credits $30.00" in page_text
    assert "On the March invoice $1.00" in page_text
    assert "Estimate for all of March if it goes on as since 1 March $96.10" in page_text
    # $49 at $3.10 a day: 15.8 days from the 11th.
    assert "Credits are used up, and requests go on the March invoice." in page_text
    foretold = "At this pace, the limit is reached about 26 March, and requests are refused from"
    assert foretold in page_text


@pytest.mark.django_db
def test_credits_that_never_were_are_not_used_up(client: Client, old_team: Team) -> None:
    set_limit(old_team, 50)
    spend(old_team, 1, MARCH + DAY)

    page_text = words(client, old_team, MARCH + 10 * DAY)

    assert "Without credits, requests go on the March invoice." in page_text
    assert "Credits are used up" not in page_text


@pytest.mark.django_db
def test_how_long_credits_last_and_what_happens_then(client: Client, old_team: Team) -> None:
    """$40, of which $10 are spent in 5 days: $30 more last 15 days."""
    give(old_team, 40)
    spend(old_team, 10, MARCH + 2 * DAY)

    page_text = words(client, old_team, MARCH + 5 * DAY)

    assert "At this pace, credits last about 15 days." in page_text
    assert (
        "When they run out, requests are refused until somebody buys credits or sets a spending "
        "limit above $0.00."
    ) in page_text
    assert "if it goes on as since 1 March $62.00" in page_text


@pytest.mark.django_db
def test_a_limit_that_the_month_does_not_reach_is_not_foretold(
    client: Client, old_team: Team
) -> None:
    give(old_team, 40)
    set_limit(old_team, 500)
    spend(old_team, 10, MARCH + 2 * DAY)

    page_text = words(client, old_team, MARCH + 5 * DAY)

    assert "requests go on the monthly invoice, up to the spending limit." in page_text
    assert "the limit is reached" not in page_text


@pytest.mark.django_db
def test_the_first_day_of_a_month_is_not_enough_for_an_estimate(
    client: Client, old_team: Team
) -> None:
    give(old_team, 40)
    spend(old_team, 1, MARCH + timedelta(hours=3))

    early = words(client, old_team, MARCH + timedelta(hours=23))
    later = words(client, old_team, MARCH + timedelta(hours=24))

    assert "Estimate" not in early
    assert "There is an estimate once a whole day can be looked back on." in early
    assert "Estimate for all of March" in later


@pytest.mark.django_db
def test_the_days_before_a_team_was_there_do_not_slow_its_pace(client: Client) -> None:
    """$4 in the 2 days since the 21st, and 9 days to go: $22."""
    team = make_team("Juniper")
    Team.objects.filter(pk=team.pk).update(created_at=MARCH + 20 * DAY)
    make_admin(team)
    give(team, 40)
    spend(team, 4, MARCH + 21 * DAY)

    page_text = words(client, team, MARCH + 22 * DAY)

    assert "if it goes on as since 21 March $22.00" in page_text


@pytest.mark.django_db
def test_a_month_in_which_nothing_was_spent_has_no_estimate(client: Client, old_team: Team) -> None:
    give(old_team, 40)

    page_text = words(client, old_team, MARCH + 20 * DAY)

    assert "Spent in March $0.00" in page_text
    assert "Estimate" not in page_text
    assert "At this pace" not in page_text


@pytest.mark.django_db
def test_what_was_spent_last_month_is_not_spent_in_this(client: Client, old_team: Team) -> None:
    give(old_team, 40)
    spend(old_team, 10, MARCH - timedelta(seconds=1))

    assert "Spent in March $0.00" in words(client, old_team, MARCH)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("spent", "sentence"),
    [
        (0.01, "At this pace, credits last for more than a year."),
        (18.2, "At this pace, credits last about 1 day."),
        (19.5, "At this pace, credits last less than a day."),
    ],
)
def test_very_long_and_very_short_are_said_in_words(
    client: Client, old_team: Team, spent: float, sentence: str
) -> None:
    give(old_team, 20)
    spend(old_team, spent, MARCH + DAY)

    assert sentence in words(client, old_team, MARCH + 10 * DAY)


@pytest.mark.django_db
def test_the_limit_begins_anew_on_a_day_of_utc_for_every_reader(
    client: Client, old_team: Team
) -> None:
    set_limit(old_team, 50)
    User.objects.update(timezone="America/Los_Angeles")

    assert "Resets on 1 April, 00:00 UTC." in words(client, old_team, MARCH + 10 * DAY)
