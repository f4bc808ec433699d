"""The usage explorer: its periods, its chart and its cards say what was used, and of what."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from accounts.models import Team, User
from audit import services as audit
from tests.factories import NOON, make_admin, make_team
from tests.usage.pages import USAGE, cards, create_key, figure, show, shown, table, usage_url
from tests.usage.requests import make_record
from usage import services as usage

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("at_noon", "alice")]


def test_what_a_call_cost_is_on_the_page_at_once(client: Client, team: Team) -> None:
    usage.record([make_record(team, items=[("prompt_text", 1_200, 42_000_000_000)])])

    page = show(client, team, range="7d")

    assert table(page)[1] == [
        "Sun, 1 Mar 2026 so far",
        "1",
        "1,200",
        "0",
        "0",
        "0",
        "$4.20",
        "100.0%",
    ]
    assert table(page)[-1] == ["7 days", "1", "1,200", "0", "0", "0", "$4.20", "100.0%"]
    assert figure(page)["layout"]["xaxis"]["categoryarray"][-1] == "Sun, 1 Mar 2026, so far"
    assert figure(page)["data"][0]["y"] == [0, 0, 0, 0, 0, 0, 4.2]

    usage.record([make_record(team, items=[("prompt_text", 1, 10_000_000_000)])])

    assert table(show(client, team, range="7d"))[1][-2] == "$5.20"


def test_a_day_is_a_day_where_the_reader_is_or_wants_to_be(
    client: Client, alice: User, team: Team
) -> None:
    usage.record([make_record(team, at=datetime(2026, 2, 27, 18, 15, tzinfo=UTC))])
    usage.record([make_record(team, at=datetime(2026, 2, 27, 18, 14, 59, tzinfo=UTC))])
    range_ = {"from": "2026-02-26", "to": "2026-02-28"}

    in_utc = show(client, team, **range_)
    asked = show(client, team, **range_, tz="asia/kathmandu")
    alice.timezone = "Asia/Kathmandu"
    alice.save()
    in_kathmandu = show(client, team, **range_)

    assert [row[1] for row in table(in_utc)[1:3]] == ["0", "2"]
    assert [row[1] for row in table(in_kathmandu)[1:3]] == ["1", "1"]
    assert table(asked) == table(in_kathmandu)


def test_today_is_what_the_reader_calls_today(client: Client, alice: User, team: Team) -> None:
    usage.record([make_record(team)])
    alice.timezone = "Pacific/Kiritimati"  # Where it is the second of March already.
    alice.save()

    assert shown(show(client, team, granularity="day")) == [
        "Mon, 2 Mar 2026 so far",
        "Sun, 1 Mar 2026",
    ]


def test_beyond_twelve_groups_the_rest_is_one_that_makes_up_the_total(
    client: Client, team: Team
) -> None:
    usage.record(
        [
            make_record(team, model=f"m-{n:02}", items=[("prompt_text", n, n * 10**10)])
            for n in range(1, 41)
        ]
    )

    page = show(client, team, range="7d", group="model")

    bars = figure(page)["data"]
    assert [bar["name"] for bar in bars[:2]] == ["m-40", "m-39"]
    assert bars[12]["name"] == "Other (28)"
    assert bars[12]["meta"] == "other"
    assert bars[12]["y"][-1] == sum(range(1, 29))
    assert bars[13]["y"][-1] == sum(range(1, 41))
    assert len(shown(page)) == 40
    assert page.count("data-isolate=") == 13
    assert table(page)[-1][0] == "40 models"


def test_a_key_s_name_is_no_markup_for_the_chart(client: Client, alice: User, team: Team) -> None:
    key = create_key(team, alice, '<a href="https://evil.example">Open</a> & go')
    usage.record([make_record(team, key_id=key.pk)])

    names = [trace["name"] for trace in figure(show(client, team, group="api_key"))["data"]]

    assert names == ['&lt;a href="https://evil.example">Open&lt;/a> &amp; go']


def test_a_day_far_from_its_like_is_marked_in_chart_and_table(client: Client, team: Team) -> None:
    def day(number: int, usd: int) -> Any:
        items = [("prompt_text", 1, usd * 10**10)]
        return make_record(team, at=NOON - timedelta(days=number), items=items)

    usage.record([day(number, 5) for number in range(70) if number != 3] + [day(3, 90)])

    page = show(client, team, range="7d")

    mark = figure(page)["data"][-1]
    assert (mark["x"], mark["y"]) == (["Thu, 26 Feb 2026"], [90])
    assert shown(page)[3] == "Thu, 26 Feb 2026 Unusual"
    assert "about 18 times the usual $5.00 of Thursdays" in page
    assert len(figure(show(client, team, range="7d", dimension="requests"))["data"]) == 1


def test_part_of_a_day_is_not_far_from_whole_ones(client: Client, team: Team) -> None:
    items = [("prompt_text", 1, 90 * 10**10)]
    at = datetime(2026, 2, 24, 9, tzinfo=UTC)
    usage.record([make_record(team, at=at - timedelta(days=n), items=items) for n in range(70)])

    page = show(client, team, **{"from": "2026-02-24T10:00", "to": "2026-02-27"})

    assert "Unusual" not in shown(page)[-1]
    assert "Unusual" in shown(page)[-2]


def test_change_is_against_as_much_of_the_range_before(client: Client, team: Team) -> None:
    at = {
        "now": NOON,
        "then": NOON - timedelta(days=7),
        "later": NOON - timedelta(days=7, hours=-2),
    }
    for when, usd_ in (("now", 3), ("then", 2), ("later", 50)):
        items = [("prompt_text", 1, usd_ * 10**10)]
        moment = at[when] - timedelta(minutes=1)
        usage.record([make_record(team, at=moment, items=items)])

    page = show(client, team, range="7d", compare="1")

    assert cards(page)["Change"] == "+50.0%|from $2.00 in 16 to 22 Feb 2026, up to 12:00"
    line = figure(page)["data"][-1]
    assert (line["name"], line["meta"]) == ("16 to 22 Feb 2026", "before")
    assert line["y"] == [0, 0, 0, 0, 0, 0, 52]


@pytest.mark.parametrize(
    ("query", "label"),
    [
        ({"range": "24h"}, "27 Feb 2026, 13:00 to 28 Feb 2026, 12:00"),
        ({"from": "2026-03-01", "to": "2026-03-02"}, "27 Feb 2026, up to 12:00"),
        ({"from": "2026-02-27", "to": "2026-02-28"}, "25 to 26 Feb 2026"),
    ],
)
def test_change_names_the_time_that_is_compared(
    client: Client, team: Team, query: dict[str, str], label: str
) -> None:
    usage.record([make_record(team, at=NOON - timedelta(days=number)) for number in range(9)])

    assert cards(show(client, team, **query))["Change"].endswith(f" in {label}")


def test_a_month_is_projected_once_there_is_enough_of_it(client: Client, team: Team) -> None:
    usage.record([make_record(team, items=[("prompt_text", 1, 10**11)])])
    assert not [name for name in cards(show(client, team)) if "projected" in name]

    with time_machine.travel(datetime(2026, 3, 11, tzinfo=UTC), tick=False):
        client.force_login(make_admin(team))
        page = show(client, team)
        year = show(client, team, range="year")

    # Ten of March's 31 days.
    assert cards(page)["March, projected"].startswith("$31.00|at the pace")
    assert not [name for name in cards(year) if "projected" in name]


def test_a_range_without_usage_has_a_sentence_in_place_of_a_chart(
    client: Client, team: Team
) -> None:
    usage.record([make_record(team, at=NOON - timedelta(days=1, hours=1))])

    costs = show(client, team, range="today")
    tokens = show(client, team, range="today", dimension="tokens")
    compared = show(client, team, range="7d", compare="1")

    assert "Nothing was spent in this range." in costs
    assert "There are no tokens in this range." in tokens
    assert "data-figure" not in costs
    assert "data-figure" in compared


def test_htmx_gets_the_part_that_changes_and_the_short_address_of_it(
    client: Client, team: Team
) -> None:
    usage.record([make_record(team)])
    url = f"{usage_url(team)}?range=7d&granularity=day&group=&dimension=cost&model_is=is"

    part = client.get(url, headers=USAGE)
    page = client.get(url)
    other = client.get(url, headers={"HX-Request": "true", "HX-Target": "days"})

    assert part.content.decode().strip().startswith('<div id="usage"')
    assert part.headers["HX-Push-Url"] == f"{usage_url(team)}?range=7d&tz=UTC"
    assert page.content.decode().lstrip().startswith("<!doctype html>")
    assert b"<!doctype html>" in other.content
    assert "HX-Push-Url" not in page.headers
    # But for the tabs, which the part brings along to be put in their own place.
    assert part.content.partition(b"</nav>")[2].strip() in page.content
    assert "HX-Target" in page.headers["Vary"]


def test_every_link_of_the_page_leads_to_a_view(client: Client, team: Team) -> None:
    usage.record([make_record(team), make_record(team, status=502, cluster="")])
    page = show(client, team, range="7d", group="cluster", dimension="tokens", tz="Asia/Tokyo")

    links = {link for link in re.findall(r'href="(\?[^"]*)"', page) if link}
    inside = json.dumps(figure(page)["layout"]["meta"]["drill"])

    assert len(links) > 20
    for link in sorted(links):
        followed = client.get(f"{usage_url(team)}{link}")
        assert followed.status_code == 200
        assert b'role="alert"' not in followed.content, link
    assert '"query": "tz=Asia%2FTokyo&dimension=tokens&group=cluster"' in inside


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

    assert table(page)[-1] == ["7 days", "0", "0", "0", "0", "0", "$0.00", "0.0%"]
    assert cards(page)["Change"] == "\N{EN DASH}|nothing in 16 to 22 Feb 2026, up to 12:00 either"
    assert "No usage yet" not in page


def test_the_most_expensive_key_and_model_are_named(
    client: Client, alice: User, team: Team
) -> None:
    key = create_key(team, alice, "web-production")
    usage.record(
        [
            make_record(
                team, key_id=key.pk, model="atlas-70b", items=[("prompt_text", 1, 3 * 10**10)]
            ),
            make_record(team, model="atlas-8b", items=[("prompt_text", 1, 10**10)]),
        ]
    )

    found = cards(show(client, team, range="7d"))

    assert found["Most expensive key"] == "web-production|$3.00, 75.0%"
    assert found["Most expensive model"] == "atlas-70b|$3.00, 75.0%"


def test_a_year_of_much_usage_costs_no_more_queries_than_a_week_of_little(
    client: Client, team: Team, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    usage.record([make_record(team, model=f"model-{n}") for n in range(14)])
    week = {"range": "7d", "group": "model", "granularity": "day"}
    client.get(usage_url(team), week)
    with CaptureQueriesContext(connection) as little:
        client.get(usage_url(team), week)
    usage.record(
        [
            make_record(team, at=NOON - timedelta(days=2 * n), model=f"model-{n % 30}")
            for n in range(150)
        ]
    )

    with django_assert_num_queries(len(little)):
        client.get(usage_url(team), week | {"range": "12m"})


def test_looking_at_usage_is_written_in_the_audit_log(client: Client, team: Team) -> None:
    client.get(usage_url(team))

    assert audit.log(team).get().operation == "GetUsage"


def test_the_page_only_reads(client: Client, team: Team) -> None:
    assert client.post(usage_url(team)).status_code == 405
