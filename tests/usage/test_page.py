"""The usage page: a range of days where the reader is, live, with and without htmx."""

import json
import re
from datetime import UTC, date, datetime, timedelta
from html import unescape

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from accounts.models import Team, User
from accounts.rules import Permission
from audit import services as audit
from tests.factories import NOON, make_admin, make_member, make_team, make_user
from tests.usage.requests import ITEMS, make_record
from usage import services as usage

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("at_noon", "alice")]

USAGE = {"HX-Request": "true", "HX-Target": "usage"}


@pytest.fixture
def at_noon() -> object:
    with time_machine.travel(NOON, tick=False):
        yield


@pytest.fixture
def team() -> Team:
    return make_team()


@pytest.fixture
def alice(client: Client, team: Team) -> User:
    """Make an admin of the team, signed in."""
    alice = make_admin(team, "Alice Moreau")
    client.force_login(alice)
    return alice


def usage_url(team: Team) -> str:
    return reverse("usage:explorer", args=[team.pk])


def show(client: Client, team: Team, **query: str) -> str:
    response = client.get(usage_url(team), query)
    assert response.status_code == 200
    return unescape(response.content.decode())


def table(page: str) -> list[list[str]]:
    """Read the cells of the table, row by row, as text."""
    return [
        [
            re.sub(r"<[^>]+>", "", cell).strip()
            for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL)
        ]
        for row in re.findall(r"<tr.*?</tr>", page, re.DOTALL)
    ]


def figure(page: str) -> dict[str, list[dict[str, list[object]]]]:
    found = re.search(r'<script id="cost-per-day" type="application/json">(.*?)</script>', page)
    assert found
    parsed: dict[str, list[dict[str, list[object]]]] = json.loads(found[1])
    return parsed


def days_shown(page: str) -> list[str]:
    return [row[0] for row in table(page)[1:-1]]


def test_what_a_call_cost_is_on_the_page_at_once(client: Client, team: Team) -> None:
    usage.record([make_record(team, items=[("prompt_text", 1_200, 42_000_000_000)])])

    page = show(client, team, range="7d")

    assert table(page)[1] == ["1 Mar 2026", "1", "1,200", "0", "0", "0", "$4.20"]
    assert table(page)[-1] == ["7 days", "1", "1,200", "0", "0", "0", "$4.20"]
    assert figure(page)["data"][0]["x"][-1] == "2026-03-01"
    assert figure(page)["data"][0]["y"] == [0, 0, 0, 0, 0, 0, 4.2]

    usage.record([make_record(team, items=[("prompt_text", 1, 10_000_000_000)])])

    assert table(show(client, team, range="7d"))[1][-1] == "$5.20"


def test_every_day_has_a_row_and_a_bar_newest_row_first(client: Client, team: Team) -> None:
    usage.record([make_record(team)])

    page = show(client, team, **{"from": "2026-02-26", "to": "2026-03-02"})

    assert days_shown(page) == [
        "2 Mar 2026",
        "1 Mar 2026",
        "28 Feb 2026",
        "27 Feb 2026",
        "26 Feb 2026",
    ]
    assert figure(page)["data"][0]["x"] == [
        "2026-02-26",
        "2026-02-27",
        "2026-02-28",
        "2026-03-01",
        "2026-03-02",
    ]


def test_a_day_is_a_day_where_the_reader_is(client: Client, alice: User, team: Team) -> None:
    usage.record([make_record(team, at=datetime(2026, 2, 27, 18, 15, tzinfo=UTC))])
    usage.record([make_record(team, at=datetime(2026, 2, 27, 18, 14, 59, tzinfo=UTC))])
    range_ = {"from": "2026-02-27", "to": "2026-02-28"}

    in_utc = show(client, team, **range_)
    alice.timezone = "Asia/Kathmandu"
    alice.save()
    in_kathmandu = show(client, team, **range_)

    assert [row[1] for row in table(in_utc)[1:3]] == ["0", "2"]
    assert [row[1] for row in table(in_kathmandu)[1:3]] == ["1", "1"]
    assert "days in Asia/Kathmandu" in in_kathmandu


def test_today_is_what_the_reader_calls_today(client: Client, alice: User, team: Team) -> None:
    usage.record([make_record(team)])
    alice.timezone = "Pacific/Kiritimati"  # Where it is the second of March already.
    alice.save()

    assert days_shown(show(client, team)) == ["2 Mar 2026", "1 Mar 2026"]


@pytest.mark.parametrize(
    ("range_", "first", "days"),
    [
        ({"range": "7d"}, "23 Feb 2026", 7),
        ({"range": "30d"}, "31 Jan 2026", 30),
        ({"range": "month"}, "1 Mar 2026", 1),
        ({}, "1 Mar 2026", 1),
        ({"from": "2025-03-01", "to": "2026-03-01"}, "1 Mar 2025", 366),
        ({"range": "7d", "from": "nonsense"}, "23 Feb 2026", 7),
        ({"from": "2026-03-02", "to": "2026-03-02"}, "2 Mar 2026", 1),
    ],
    ids=["7d", "30d", "month", "nothing", "a year", "7d and nonsense", "tomorrow"],
)
def test_a_range_is_what_the_address_says(
    client: Client, team: Team, range_: dict[str, str], first: str, days: int
) -> None:
    usage.record([make_record(team)])

    shown = days_shown(show(client, team, **range_))

    assert shown[-1] == first
    assert len(shown) == days


@pytest.mark.parametrize(
    ("range_", "sentence"),
    [
        ({"from": "2026-03-01", "to": "2026-02-01"}, "1 Feb 2026, is before the first, 1 Mar 2026"),
        ({"from": "2016-02-28", "to": "2026-03-01"}, "3,655 days. One page shows at most 3,653"),
        ({"from": "2026-03-01", "to": "2026-03-03"}, "3 Mar 2026 has not begun yet."),
        ({"from": "1999-12-31", "to": "2000-01-01"}, "31 Dec 1999 is too early."),
        ({"from": "0001-01-01", "to": "9999-12-31"}, "1 Jan 0001 is too early."),
        ({"from": "2026-02-30", "to": "2026-03-01"}, "2026-02-30 is not a day."),
        ({"from": "<b>" * 99, "to": "2026-03-01"}, "<b><b><b><b><b><b><b is not a day."),
        ({"from": "2026-03-01"}, "Choose a day."),
        ({"to": "2026-03-01"}, "Choose a day."),
        ({"range": "for ever"}, "for ever is not a range."),
        ({"range": "\x00"}, "is not a range."),
    ],
)
def test_a_range_that_cannot_be_shown_is_explained_and_kept(
    client: Client, team: Team, range_: dict[str, str], sentence: str
) -> None:
    usage.record([make_record(team)])

    page = show(client, team, **range_)

    assert sentence in page
    assert "<table" not in page
    for name in ("from", "to"):
        if name in range_:
            assert f'name="{name}" value="{range_[name]}"' in page


def test_htmx_gets_the_part_that_changes_and_everyone_else_the_page(
    client: Client, team: Team
) -> None:
    usage.record([make_record(team)])
    url = f"{usage_url(team)}?range=7d"

    part = client.get(url, headers=USAGE)
    page = client.get(url)
    other = client.get(url, headers={"HX-Request": "true", "HX-Target": "days"})

    assert part.content.decode().strip().startswith('<div id="usage"')
    assert page.content.decode().lstrip().startswith("<!doctype html>")
    assert other.content == page.content or b"<!doctype html>" in other.content
    assert part.content.strip() in page.content
    assert "HX-Target" in page.headers["Vary"]


def test_a_team_that_never_called_is_told_how_to_begin(client: Client, team: Team) -> None:
    usage.record([make_record(make_team())])

    page = show(client, team)

    assert "No usage yet" in page
    assert reverse("api_keys:list", args=[team.pk]) in page
    assert "<table" not in page


def test_a_quiet_range_of_a_team_that_called_before_is_shown_as_noughts(
    client: Client, team: Team
) -> None:
    usage.record([make_record(team, at=NOON - timedelta(days=90))])

    page = show(client, team, range="7d")

    assert table(page)[-1] == ["7 days", "0", "0", "0", "0", "0", "$0.00"]
    assert "No usage yet" not in page


def test_failures_have_a_column_when_there_are_any(client: Client, team: Team) -> None:
    usage.record([make_record(team) for _ in range(3)])
    assert "Failed" not in table(show(client, team))[0]

    usage.record([make_record(team, status=502, items=())])
    page = show(client, team)

    assert table(page)[0][:3] == ["Day", "Requests", "Failed"]
    assert table(page)[-1][:3] == ["1 day", "4", "1"]
    assert "1 failed, 25.00%" in page


def test_an_item_that_is_seldom_used_has_a_column_where_it_was(client: Client, team: Team) -> None:
    usage.record([make_record(team, items=[*ITEMS, ("prompt_image", 9, 2)])])

    page = show(client, team)

    assert table(page)[0] == [
        "Day",
        "Requests",
        "Prompt",
        "Cached prompt",
        "Prompt image",
        "Completion",
        "Reasoning",
        "Cost",
    ]
    assert table(page)[1][2:-1] == ["1,000", "0", "9", "100", "0"]


def test_the_figures_at_the_top_are_those_of_the_table(client: Client, team: Team) -> None:
    items = [
        ("prompt_text", 1_500_000, 30_000_000_000),
        ("cached_prompt_text", 500_000, 10_000_000_000),
    ]
    usage.record([make_record(team, items=items) for _ in range(2)])

    page = show(client, team)

    cards = [re.sub(r"<[^>]+>", "|", card) for card in re.findall(r"<div><dt>.*?</div>", page)]
    assert [re.sub(r"\|+", "|", card).strip("|") for card in cards] == [
        "Cost|$8.00|$8.00 per day",
        "Requests|2|all answered",
        "Tokens|4.00 million|4,000,000",
        "Read from cache|25.0%|of prompt tokens",
        "Average request|$4.00|2,000,000 tokens",
    ]


def test_a_year_of_much_usage_costs_no_more_queries_than_a_week_of_little(
    client: Client, team: Team, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    usage.record([make_record(team)])
    client.get(usage_url(team), {"range": "7d"})
    with CaptureQueriesContext(connection) as little:
        client.get(usage_url(team), {"range": "7d"})
    usage.record(
        [
            make_record(team, at=NOON - timedelta(days=2 * n), model=f"model-{n % 5}")
            for n in range(150)
        ]
    )

    with django_assert_num_queries(len(little)):
        client.get(usage_url(team), {"from": "2025-03-02", "to": "2026-03-01"})


def test_another_team_sees_nothing_of_it(client: Client, team: Team) -> None:
    usage.record([make_record(team, model="secret-model")])
    other = make_team()
    client.force_login(make_admin(other))

    assert client.get(usage_url(team)).status_code == 404
    assert "No usage yet" in show(client, other)


def test_usage_is_for_admins_and_for_whom_they_let_see_it(client: Client, team: Team) -> None:
    member, trusted = make_member(team), make_member(team, extra=[Permission.USAGE_READ])

    client.force_login(member)
    refused = client.get(usage_url(team))
    client.force_login(trusted)
    shown = client.get(usage_url(team))
    client.force_login(make_user())
    hidden = client.get(usage_url(team))

    assert (refused.status_code, shown.status_code, hidden.status_code) == (403, 200, 404)


def test_looking_at_usage_is_written_in_the_audit_log(client: Client, team: Team) -> None:
    client.get(usage_url(team))

    assert audit.log(team).get().operation == "GetUsage"


def test_the_page_only_reads(client: Client, team: Team) -> None:
    assert client.post(usage_url(team)).status_code == 405


@pytest.mark.parametrize("day", [date(2026, 3, 29), date(2026, 10, 25)])
def test_a_day_of_23_or_25_hours_is_one_row(
    client: Client, alice: User, team: Team, day: date
) -> None:
    alice.timezone = "Europe/Berlin"
    alice.save()
    begin = datetime(day.year, day.month, day.day, tzinfo=alice.zone)
    hours = (begin + timedelta(days=1)).astimezone(UTC) - begin.astimezone(UTC)
    quarters = hours // timedelta(minutes=15)
    begin = begin.astimezone(UTC)
    usage.record(
        [make_record(team, at=begin + n * timedelta(minutes=15)) for n in range(-1, quarters + 1)]
    )

    with time_machine.travel(begin + timedelta(days=2), tick=False):
        client.force_login(alice)
        page = show(client, team, **{"from": str(day), "to": str(day)})

    assert quarters in {92, 100}
    assert table(page)[1][1] == str(quarters)
