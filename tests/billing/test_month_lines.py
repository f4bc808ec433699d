"""What a month's requests add up to, line by line."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from uuid_utils.compat import uuid7

from accounts.models import Team
from billing import services as billing
from billing.models import BillingCycle, Charge
from billing.rules import TICKS_PER_CENT, TICKS_PER_USD, BillingItem, Line
from billing.services import HoldRequest, Settlement
from billing.services.month_lines import lines_of
from tests.billing.spending import make_invoiced_team, spend, spend_ticks
from tests.factories import NOON

pytestmark = pytest.mark.django_db

MARCH, APRIL = date(2026, 3, 1), date(2026, 4, 1)
PROMPT, ANSWER = BillingItem.PROMPT_TEXT, BillingItem.COMPLETION
IN_APRIL = datetime(2026, 4, 1, tzinfo=UTC)


@pytest.fixture
def team() -> Team:
    return make_invoiced_team(usd=2000)


def read(team: Team, *months: date) -> list[tuple[Any, ...]]:
    """Read lines as (model, item, quantity, unit price, cents)."""
    names = ("model", "item", "quantity", "unit_price_ticks", "amount_cents")
    lines = lines_of(team, month=max(months), months=months)
    return [tuple(line.get(name) for name in names) for line in lines]


def charged(team: Team) -> int:
    return sum(BillingCycle.of(team).values_list("charged_ticks", flat=True))


def test_requests_add_up_per_model_item_and_price(team: Team) -> None:
    spend(team, Line(ANSWER, 10, TICKS_PER_CENT), Line(PROMPT, 300, 1_000), model="opal")
    spend(team, Line(PROMPT, 100, TICKS_PER_CENT), Line(ANSWER, 20, TICKS_PER_CENT))
    spend(team, Line(PROMPT, 11, TICKS_PER_CENT))

    assert read(team, MARCH) == [
        ("atlas", PROMPT, 111, TICKS_PER_CENT, 111),
        ("atlas", ANSWER, 20, TICKS_PER_CENT, 20),
        ("opal", PROMPT, 300, 1_000, 0),
        ("opal", ANSWER, 10, TICKS_PER_CENT, 10),
    ]


def test_a_price_that_changed_within_the_month_is_a_line_of_its_own(team: Team) -> None:
    spend(team, Line(PROMPT, 5, 2 * TICKS_PER_CENT))
    spend(team, Line(PROMPT, 7, TICKS_PER_CENT))
    spend(team, Line(PROMPT, 1, 2 * TICKS_PER_CENT))

    assert read(team, MARCH) == [
        ("atlas", PROMPT, 7, TICKS_PER_CENT, 7),
        ("atlas", PROMPT, 6, 2 * TICKS_PER_CENT, 12),
    ]


def test_a_month_begins_and_ends_at_midnight_in_utc(team: Team) -> None:
    spend(team, Line(PROMPT, 1, TICKS_PER_CENT), now=IN_APRIL - timedelta(microseconds=1))
    spend(team, Line(PROMPT, 2, TICKS_PER_CENT), now=IN_APRIL)

    assert [line[2] for line in read(team, MARCH)] == [1]
    assert [line[2] for line in read(team, APRIL)] == [2]


def test_lines_of_an_earlier_month_come_first_and_name_it(team: Team) -> None:
    spend(team, Line(PROMPT, 1, TICKS_PER_CENT), model="zinc")
    spend(team, Line(PROMPT, 2, TICKS_PER_CENT), now=IN_APRIL)

    lines = lines_of(team, month=APRIL, months=[MARCH, APRIL])

    assert [(line["model"], line.get("month")) for line in lines] == [
        ("zinc", "2026-03"),
        ("atlas", None),
    ]


def test_a_month_between_those_that_are_billed_is_left_out(team: Team) -> None:
    for month in (3, 4, 5):
        spend_ticks(team, month, now=datetime(2026, month, 9, tzinfo=UTC))

    lines = lines_of(team, month=date(2026, 5, 1), months=[MARCH, date(2026, 5, 1)])

    assert [line["quantity"] for line in lines] == [3, 5]


def test_what_went_beyond_the_hold_is_taken_off_again(team: Team) -> None:
    request = HoldRequest(uuid7(), team.pk, 30 * TICKS_PER_CENT, 0, 1)
    billing.reserve([request], now=NOON, until=NOON + timedelta(minutes=2))
    used = [Line(PROMPT, 50, TICKS_PER_CENT)]
    billing.settle([Settlement(request.request_id, team.pk, "atlas", used)], now=NOON)

    lines = lines_of(team, month=MARCH, months=[MARCH])

    assert [(line["description"], line["amount_cents"]) for line in lines] == [
        ("Prompt text tokens", 50),
        ("Used but not charged", -20),
    ]
    assert sum(line["ticks"] for line in lines) == 30 * TICKS_PER_CENT == charged(team)


def test_what_is_free_of_charge_is_listed_all_the_same(team: Team) -> None:
    spend(team, Line(PROMPT, 5, 0), Line(ANSWER, 1, TICKS_PER_CENT))

    assert read(team, MARCH)[0] == ("atlas", PROMPT, 5, 0, 0)


def test_another_teams_requests_are_on_no_line(team: Team) -> None:
    spend_ticks(make_invoiced_team(), TICKS_PER_USD)

    assert lines_of(team, month=MARCH, months=[MARCH]) == []
    assert lines_of(team, month=MARCH, months=[]) == []


def test_a_month_of_many_requests_is_read_in_one_statement(
    team: Team, django_assert_num_queries: Any
) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO billing_charge (id, team_id, cost_ticks, loss_ticks, model, lines,"
            " is_estimated, charged_at) SELECT gen_random_uuid(), %s, 3 * n, 0, 'm' || n %% 7,"
            " jsonb_build_array(jsonb_build_array('prompt_text', n, 1),"
            " jsonb_build_array('completion', n, 2)), false,"
            " '2026-03-01'::timestamptz + n * interval '2 minutes'"
            " FROM generate_series(1, 20000) n",
            [team.pk],
        )

    with django_assert_num_queries(1):
        lines = lines_of(team, month=MARCH, months=[MARCH])

    assert len(lines) == 14
    assert Charge.of(team).count() == 20_000
    assert sum(line["ticks"] for line in lines) == 3 * 20_000 * 20_001 // 2
