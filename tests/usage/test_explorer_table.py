"""The usage explorer's table and its files: the same numbers, row by row, under lasting names."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
import time_machine
from django.test import Client
from django.urls import reverse

from accounts.actors import Actor
from accounts.models import Membership, Team, User
from accounts.rules import Permission
from api_keys import services as api_keys
from billing.services import usd
from tests.factories import NOON, make_admin, make_member
from tests.usage.pages import (
    cards,
    create_key,
    figure,
    read_csv,
    read_json,
    record_mixed,
    show,
    shown,
    table,
)
from tests.usage.requests import make_record
from usage import services as usage

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("at_noon", "alice")]


def test_every_period_that_has_begun_has_a_row_newest_first(client: Client, team: Team) -> None:
    usage.record([make_record(team)])

    days = shown(show(client, team, **{"from": "2026-02-26", "to": "2026-03-02"}))
    hours = shown(show(client, team, range="today"))

    assert days == [
        "Sun, 1 Mar 2026 so far",
        "Sat, 28 Feb 2026",
        "Fri, 27 Feb 2026",
        "Thu, 26 Feb 2026",
    ]
    assert len(hours) == 13
    assert hours[0] == "1 Mar 2026, 12:00 so far"


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
    assert len(shown(page)) == quarters / 4
    assert sum(int(row[1]) for row in table(page)[1:-1]) == quarters
    assert len(set(shown(page))) == len(shown(page))


@pytest.mark.parametrize("dimension", ["cost", "tokens", "items", "requests"])
@pytest.mark.parametrize("group", ["", "api_key", "model", "cluster", "ip", "token_type", "member"])
def test_every_dimension_and_group_adds_up_to_the_same_in_card_chart_table_and_files(
    client: Client, team: Team, dimension: str, group: str
) -> None:
    mixed = record_mixed(team)
    query = {"range": "7d", "dimension": dimension, "group": group}
    tokens = sum(quantity for one in mixed for _, quantity, _ in one.items)
    card, column, factor, expected = {
        "cost": ("Cost", "cost_usd", 10**10, sum(one.cost_ticks for one in mixed)),
        "tokens": ("Tokens", "tokens", 1, tokens),
        "items": ("Billing items", "tokens", 1, tokens),
        "requests": ("Requests", "requests", 1, len(mixed)),
    }[dimension]
    text = usd(expected) if dimension == "cost" else f"{expected:,}"

    page = show(client, team, **query)
    rows = read_csv(client, team, **query)
    in_json = read_json(client, team, **query, table="periods")

    drawn = sum(sum(bar["y"]) for bar in figure(page)["data"] if bar["type"] == "bar")
    assert drawn * factor == pytest.approx(expected)
    assert text in table(page)[-1]
    assert cards(page)[card].startswith(text)
    assert sum(Decimal(row[column]) for row in rows) * factor == expected
    assert len(rows) == len(table(page)) - 2
    assert Decimal(in_json["total"][column]) * factor == expected
    assert sum(Decimal(row[column]) for row in in_json["rows"]) * factor == expected


def test_rows_that_nobody_reads_are_one_on_the_page_and_all_in_the_file(
    client: Client, team: Team
) -> None:
    usage.record([make_record(team, ip=f"10.0.{n // 250}.{n % 250}") for n in range(130)])

    page = show(client, team, range="7d", group="ip")

    assert len(shown(page)) == 101
    assert shown(page)[-1] == "30 more, all of them in the files"
    assert table(page)[-2][1] == "30"
    assert table(page)[-1][:2] == ["130 IPs", "130"]
    assert len(read_csv(client, team, range="7d", group="ip")) == 130


def test_rows_that_cost_nothing_are_no_part_of_the_cost(client: Client, team: Team) -> None:
    usage.record(
        [
            make_record(
                team, ip=f"10.0.0.{n}", items=[("completion", 1, 10**9 + n)] if n < 12 else []
            )
            for n in range(130)
        ]
    )

    page = show(client, team, range="7d", group="ip")

    assert table(page)[-2][-2] == "0.0%"


def test_a_table_is_sorted_by_the_column_that_the_address_names(client: Client, team: Team) -> None:
    for model, cost, requests in (("b", 3, 1), ("a", 2, 3), ("c", 1, 2)):
        usage.record(
            [
                make_record(
                    team, model=model, items=[("prompt_text", 1, cost * 10**10 // requests)]
                )
                for _ in range(requests)
            ]
        )

    def names(sort: str) -> str:
        query = {"range": "7d", "group": "model", "sort": sort}
        page = shown(show(client, team, **query))
        assert [row["name"] for row in read_csv(client, team, **query)] == page
        return "".join(page)

    assert (names(""), names("-cost"), names("cost")) == ("bac", "bac", "cab")
    assert (names("name"), names("-name"), names("-requests")) == ("abc", "cba", "acb")
    assert names("'; DROP TABLE") == "bac"
    assert names("period") == "bac"


def test_failures_have_a_column_when_there_are_any(client: Client, team: Team) -> None:
    usage.record([make_record(team) for _ in range(3)])
    assert "Failed" not in table(show(client, team))[0]

    usage.record([make_record(team, status=502, items=())])
    page = show(client, team, dimension="requests")

    assert table(page)[0][:3] == ["Hour", "Requests", "Failed"]
    assert table(page)[-1][1:3] == ["4", "1"]
    assert cards(page)["Requests"] == "4|1 failed, 25.00%"


def test_a_file_runs_nothing_that_somebody_named_a_model(client: Client, team: Team) -> None:
    usage.record([make_record(team, model="=HYPERLINK(1)")])

    (row,) = read_csv(client, team, range="7d", group="model")

    assert row["name"] == "'=HYPERLINK(1)"
    assert row["cost_usd"] == "0.0002500000"


def test_keys_and_members_that_are_gone_keep_their_names(
    client: Client, alice: User, team: Team
) -> None:
    bob = make_member(team, name="Bob Example")
    kept = create_key(team, alice, "web-production")
    gone = create_key(team, bob, "batch-nightly")
    api_keys.delete(key=gone, actor=Actor.for_user(bob), now=NOON)
    Membership.objects.filter(team=team, user=bob).delete()
    usage.record([make_record(team, key_id=kept.pk), make_record(team, key_id=gone.pk)])
    usage.record([make_record(team, key_id=gone.pk), make_record(team, key_id=uuid4())])

    by_key = show(client, team, range="7d", group="api_key")
    by_member = show(client, team, range="7d", group="member")
    filtered = show(client, team, range="7d", api_key=str(gone.pk))

    assert shown(by_key)[0] == "batch-nightly deleted"
    assert "web-production" in shown(by_key)
    assert any(name.startswith("Unknown key ") for name in shown(by_key))
    assert reverse("api_keys:key", args=[team.pk, kept.pk]) in by_key
    assert shown(by_member)[0] == "Bob Example left the team"
    assert {"Alice", "Nobody"} < set(shown(by_member))
    assert "API key is batch-nightly (deleted)" in filtered
    assert cards(filtered)["Requests"].startswith("2|")


def test_a_member_is_led_only_to_keys_of_their_own(client: Client, team: Team) -> None:
    alice, bob = make_admin(team), make_member(team, extra=[Permission.USAGE_READ])
    of_alice, of_bob = create_key(team, alice, "hers"), create_key(team, bob, "his")
    usage.record([make_record(team, key_id=of_alice.pk), make_record(team, key_id=of_bob.pk)])
    client.force_login(bob)

    page = show(client, team, range="7d", group="api_key")

    assert {"hers", "his"} == set(shown(page))
    assert reverse("api_keys:key", args=[team.pk, of_bob.pk]) in page
    assert reverse("api_keys:key", args=[team.pk, of_alice.pk]) not in page


def test_what_was_before_stands_beside_each_period_in_table_and_files(
    client: Client, team: Team
) -> None:
    for days, usd_ in ((0, 3), (1, 4), (2, 7), (3, 2)):
        items = [("prompt_text", 1, usd_ * 10**10)]
        usage.record([make_record(team, at=NOON - timedelta(days=days), items=items)])
    query = {"from": "2026-02-28", "to": "2026-03-01", "compare": "1", "granularity": "day"}

    page = show(client, team, **query)
    rows = read_csv(client, team, **query)
    in_json = read_json(client, team, **query)

    assert table(page)[0][-2:] == ["Cost before", "Share"]
    assert [row[-2] for row in table(page)[1:]] == ["$7.00", "$2.00", "$9.00"]
    assert [row["before_usd"] for row in rows] == ["7.0000000000", "2.0000000000"]
    assert in_json["total"]["before_usd"] == "9.0000000000"
    # Up to noon.
    assert in_json["compared_with"]["to"] == "2026-02-27T12:00:00+00:00"
    assert in_json["compared_with"]["cost_usd"] == "2.0000000000"
    assert read_json(client, team, range="7d")["compared_with"] is None


def test_a_day_that_the_month_before_did_not_have_is_compared_with_nothing(
    client: Client, team: Team
) -> None:
    usage.record([make_record(team)])
    query = {"range": "month", "compare": "1", "sort": "period"}

    with time_machine.travel(datetime(2026, 3, 31, 9, tzinfo=UTC), tick=False):
        client.force_login(make_admin(team))
        rows = read_csv(client, team, **query)
        page = show(client, team, **query)
        rows_in_json = read_json(client, team, **query)["rows"]

    assert [row["before_usd"] for row in rows[26:]] == ["0.0000000000"] * 2 + [""] * 3
    assert [row[-2] for row in table(page)[27:32]] == ["$0.00"] * 2 + [""] * 3
    assert rows_in_json[-1]["before_usd"] is None


def test_files_by_period_have_a_column_for_each_group_of_the_chart(
    client: Client, team: Team
) -> None:
    usage.record(
        [
            make_record(team, model=f"m-{n:02}", items=[("prompt_text", n, n * 10**10)])
            for n in range(1, 15)
        ]
    )
    query = {"range": "7d", "group": "model", "table": "periods"}

    row = read_csv(client, team, **query)[0]
    parts = read_json(client, team, **query, dimension="tokens")["rows"][0]["groups"]

    assert row["cost_usd: m-14"] == "14.0000000000"
    assert row["cost_usd: Other (2)"] == "3.0000000000"
    in_parts = [value for name, value in row.items() if name.startswith("cost_usd:")]
    assert sum(map(Decimal, in_parts)) == Decimal(row["cost_usd"])
    assert list(parts) == [*(f"m-{n:02}" for n in range(14, 2, -1)), "Other (2)"]
    assert sum(parts.values()) == sum(range(1, 15))


@pytest.mark.parametrize(
    ("first", "last", "granularity", "remarks"),
    [
        ("2026-02-25T13:15", "2026-02-28T20:15", "day", ["part of it", "", "", "part of it"]),
        ("2026-02-28", "2026-03-01", "day", ["", "so far"]),
        ("2026-02-28T10:00", "2026-02-28T13:15", "hour", ["", "", "", "part of it"]),
        ("2026-02-16", "2026-02-25", "week", ["", "part of it"]),
        ("2026-02-28T10:15", "2026-02-28T10:45", "15m", ["", ""]),
    ],
)
def test_what_the_range_has_a_part_of_is_marked_in_table_chart_and_file(
    client: Client, team: Team, first: str, last: str, granularity: str, remarks: list[str]
) -> None:
    at = [NOON - timedelta(hours=25, minutes=45), NOON - timedelta(days=4, hours=3)]
    usage.record([make_record(team, at=moment) for moment in at])
    query = {"from": first, "to": last, "granularity": granularity, "sort": "period"}

    page = show(client, team, **query)

    assert [row["remark"] for row in read_csv(client, team, **query)] == remarks
    assert all(row.endswith(word) for row, word in zip(shown(page), remarks, strict=True))
    partial = [place for place, remark in enumerate(remarks) if remark]
    assert figure(page)["layout"]["meta"].get("partial", []) == partial
