"""The usage explorer: every view of it adds up, says what it is, and shows nobody else's."""

import csv
import io
import json
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from html import unescape
from typing import Any
from uuid import UUID, uuid4

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from accounts.actors import Actor
from accounts.models import Membership, Team, User
from accounts.rules import Permission
from api_keys import services as api_keys
from audit import services as audit
from billing.services import usd
from tests.factories import NOON, make_admin, make_member, make_team, make_user
from tests.usage.requests import make_record
from usage import services as usage
from usage.models import UsageFeed

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("at_noon", "alice")]

# A ClickHouse where nobody listens.
AWAY = {"host": "127.0.0.1", "port": 1, "database": "usage", "secure": False, "cluster": ""}
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
            " ".join(re.sub(r"<[^>]+>", "", cell).split())
            for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL)
        ]
        for row in re.findall(r"<tr.*?</tr>", page, re.DOTALL)
    ]


def figure(page: str) -> dict[str, Any]:
    found = re.search(r'<script id="usage-figure" type="application/json">(.*?)</script>', page)
    assert found
    parsed: dict[str, Any] = json.loads(found[1])
    return parsed


def create_key(team: Team, owner: User, name: str) -> Any:
    actor = Actor.for_user(owner)
    return api_keys.create(team=team, actor=actor, owner=owner, name=name, now=NOON).key


def shown(page: str) -> list[str]:
    """Read the heads of the table's rows."""
    return [row[0] for row in table(page)[1:-1]]


def cards(page: str) -> dict[str, str]:
    found = re.findall(r"<div><dt>(.*?)</dt><dd[^>]*>(.*?)</dd><dd>(.*?)</dd></div>", page)
    return {name: re.sub(r"<[^>]+>", "", f"{value}|{remark}") for name, value, remark in found}


def read_csv(client: Client, team: Team, **query: str) -> list[dict[str, str]]:
    response = client.get(reverse("usage:table_csv", args=[team.pk]), query)
    assert response.status_code == 200
    return list(csv.DictReader(io.StringIO(response.content.decode())))


def read_json(client: Client, team: Team, **query: str) -> dict[str, Any]:
    response = client.get(reverse("usage:table_json", args=[team.pk]), query)
    assert response.status_code == 200
    parsed: dict[str, Any] = response.json()
    return parsed


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


def test_an_address_that_is_shared_shows_the_same_to_whoever_opens_it(
    client: Client, alice: User, team: Team
) -> None:
    usage.record([make_record(team, at=NOON - timedelta(hours=3 * n)) for n in range(16)])
    alice.timezone = "Asia/Kathmandu"
    alice.save()
    query = {"from": "2026-02-28", "to": "2026-02-28", "dimension": "tokens"}
    address = client.get(usage_url(team), query, headers=USAGE).headers["HX-Push-Url"]
    hers = client.get(address).content.decode()
    client.force_login(make_admin(team))

    his = client.get(address).content.decode()

    assert "tz=Asia%2FKathmandu" in address
    assert table(hers) == table(his)


def test_a_range_with_a_name_keeps_it_when_only_the_zone_is_another(
    client: Client, team: Team
) -> None:
    usage.record([make_record(team)])
    fields = dict(re.findall(r'name="(held|from|to)" value="([^"]*)"', show(client, team)))

    def address(**changes: str) -> str:
        response = client.get(usage_url(team), fields | changes, headers=USAGE)
        return response.headers["HX-Push-Url"].partition("?")[2]

    assert address(tz="Asia/Tokyo") == "range=month&tz=Asia%2FTokyo"
    assert address(**{"from": "2026-02-01"}) == "from=2026-02-01&to=2026-03-01&tz=UTC"
    assert "range=for" not in show(client, team, **fields | {"held": "for ever"})


def test_today_is_what_the_reader_calls_today(client: Client, alice: User, team: Team) -> None:
    usage.record([make_record(team)])
    alice.timezone = "Pacific/Kiritimati"  # Where it is the second of March already.
    alice.save()

    assert shown(show(client, team, granularity="day")) == [
        "Mon, 2 Mar 2026 so far",
        "Sun, 1 Mar 2026",
    ]


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"from": "2026-03-01", "to": "2026-02-01"}, "1 Feb 2026, is before the first, 1 Mar 2026"),
        ({"from": "2016-02-28", "to": "2026-03-01"}, "3,655 days. One page shows at most 3,653"),
        ({"from": "2026-03-01", "to": "2026-03-03"}, "3 Mar 2026 has not begun yet."),
        ({"from": "1999-12-31", "to": "2000-01-01"}, "31 Dec 1999 is too early."),
        ({"from": "0001-01-01", "to": "9999-12-31"}, "1 Jan 0001 is too early."),
        ({"from": "2026-02-30", "to": "2026-03-01"}, "2026-02-30 is not a day."),
        ({"from": "<b>" * 99, "to": "2026-03-01"}, "<b><b><b><b><b><b><b is not a day."),
        ({"from": "2026-03-01T10:05", "to": "2026-03-01"}, "2026-03-01T10:05 is not a day."),
        ({"from": "2026-03-01T10:00+00:07", "to": "2026-03-01"}, "is not a day."),
        ({"from": "2026-03-01T10:00", "to": "2026-03-01T10:00"}, "This is not after the time"),
        ({"from": "2026-03-01"}, "Choose a day."),
        ({"to": "2026-03-01"}, "Choose a day."),
        ({"range": "for ever"}, "for ever is not a range."),
        ({"range": "\x00"}, "is not a range."),
        ({"tz": "Mars/Olympus"}, "Mars/Olympus is not a time zone."),
        ({"granularity": "minute"}, "minute is not a granularity. There are: 15m, hour, day"),
        ({"dimension": "smell"}, "smell is not a dimension. There are: cost"),
        ({"group": "colour"}, "colour is not a group. There are: api_key"),
        ({"ip": "here"}, "“here” is not an IP address."),
        ({"api_key": "x' OR 1=1"}, "“x' OR 1=1” is not the ID of an API key."),
    ],
)
def test_what_cannot_be_shown_is_explained_and_kept(
    client: Client, team: Team, query: dict[str, str], sentence: str
) -> None:
    usage.record([make_record(team)])

    page = show(client, team, **query)

    assert sentence in page
    assert "<table" not in page
    for name in ("from", "to"):
        if name in query:
            assert f'name="{name}" value="{query[name]}"' in page
    file = client.get(reverse("usage:table_csv", args=[team.pk]), query)
    assert file.status_code == 302
    assert file.headers["Location"].startswith(usage_url(team))


@pytest.mark.parametrize("wrong", [{"from": "2026-03-01", "to": "2026-02-01"}, {"tz": "Berlin"}])
def test_what_was_chosen_survives_a_range_that_cannot_be_shown(
    client: Client, team: Team, wrong: dict[str, str]
) -> None:
    usage.record([make_record(team)])
    chosen = {"dimension": "tokens", "group": "model", "model": "atlas-8b"}

    page = show(client, team, **chosen, **wrong)
    _, _, form = page.partition('aria-label="Range">')

    assert dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form)) == chosen


def test_a_granularity_that_does_not_fit_falls_to_the_nearest_and_says_so(
    client: Client, team: Team
) -> None:
    usage.record([make_record(team)])

    page = show(client, team, range="7d", granularity="15m")

    assert "23 Feb to 1 Mar 2026 cannot be shown by 15 minutes, so it is shown by hour." in page
    assert len(shown(page)) == 6 * 24 + 13


KEYS = [UUID(int=number + 1) for number in range(3)]
MODELS, CLUSTERS, IPS = ["atlas-70b", "atlas-8b"], ["fra-1", ""], ["203.0.113.7", "2001:db8::1"]


@pytest.fixture
def mixed(team: Team) -> list[Any]:
    """Record requests of every kind over two days."""
    records = [
        make_record(
            team,
            key_id=KEYS[n % 3],
            model=MODELS[n % 2],
            cluster=CLUSTERS[n % 5 == 0],
            ip=IPS[n % 4 == 0],
            at=NOON - timedelta(hours=3 * n),
            items=[
                ("prompt_text", 100 + n, 10_000_000_000 + n),
                ("cached_prompt_text", 10, 7),
                ("completion", n, 3_000_000_001 * n),
            ],
        )
        for n in range(16)
    ]
    usage.record(records)
    usage.record([make_record(make_team(), items=[("prompt_text", 5, 99_000_000_000)])])
    return records


def test_every_dimension_and_group_adds_up_to_the_same_in_card_chart_table_and_files(
    client: Client, team: Team, mixed: list[Any]
) -> None:
    raw = {
        "cost": sum(one.cost_ticks for one in mixed),
        "tokens": sum(quantity for one in mixed for _, quantity, _ in one.items),
        "requests": len(mixed),
    }
    raw["items"] = raw["tokens"]
    groups = ["", "api_key", "model", "cluster", "ip", "token_type", "member"]
    for dimension in ("cost", "tokens", "items", "requests"):
        for group in groups:
            for by in ("", "periods"):
                query = {"range": "7d", "dimension": dimension, "group": group, "table": by}

                page = show(client, team, **query)

                expected = raw[dimension]
                column = {"cost": "cost_usd", "requests": "requests"}.get(dimension, "tokens")
                bars = [one for one in figure(page)["data"] if one["type"] == "bar"]
                drawn = sum(sum(bar["y"]) for bar in bars)
                in_json = read_json(client, team, **query)
                rows = read_csv(client, team, **query)
                if dimension == "cost":
                    assert abs(drawn - expected / 1e10) < 0.01
                    assert usd(expected) in table(page)[-1]
                    assert cards(page)["Cost"].startswith(usd(expected))
                    assert sum(Decimal(row[column]) for row in rows) * 10**10 == expected
                    assert Decimal(in_json["total"][column]) * 10**10 == expected
                else:
                    card = {"tokens": "Tokens", "items": "Billing items"}.get(dimension, "Requests")
                    assert drawn == expected
                    assert f"{expected:,}" in table(page)[-1]
                    assert cards(page)[card].startswith(f"{expected:,}")
                    assert sum(int(row[column]) for row in rows) == expected
                    assert in_json["total"][column] == expected
                assert len(rows) == len(in_json["rows"]) == len(table(page)) - 2


def test_filters_narrow_everything_that_is_shown(
    client: Client, team: Team, mixed: list[Any]
) -> None:
    def cost(**query: str) -> Decimal:
        total = read_json(client, team, range="7d", **query)["total"]
        return Decimal(total["cost_usd"]) * 10**10

    def expected(*filters: Any) -> int:
        return sum(one.cost_ticks for one in mixed if all(keep(one) for keep in filters))

    assert cost(api_key=str(KEYS[1])) == expected(lambda one: one.key_id == KEYS[1])
    assert cost(not_model="atlas-8b", cluster="(none)") == expected(
        lambda one: one.model != "atlas-8b", lambda one: not one.cluster
    )
    assert cost(ip="2001:db8:0::1") == expected(lambda one: one.ip == IPS[1])
    assert cost(token_type="completion") == sum(one.items[2][2] for one in mixed)
    assert cost(not_token_type="completion", group="model") == sum(
        one.items[0][2] + one.items[1][2] for one in mixed
    )
    page = show(client, team, range="7d", not_model="atlas-8b", cluster="(none)")
    assert "Model is not atlas-8b" in page
    assert "Cluster is No cluster reached" in page


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


def test_rows_that_nobody_reads_are_one_on_the_page_and_all_in_the_file(
    client: Client, team: Team
) -> None:
    usage.record([make_record(team, ip=f"10.0.{n // 250}.{n % 250}") for n in range(230)])

    page = show(client, team, range="7d", group="ip")

    assert len(shown(page)) == 201
    assert shown(page)[-1] == "30 more, all of them in the files"
    assert table(page)[-2][1] == "30"
    assert table(page)[-1][:2] == ["230 IPs", "230"]
    assert len(read_csv(client, team, range="7d", group="ip")) == 230


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
    assert {"Alice Moreau", "Nobody"} < set(shown(by_member))
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


def test_nothing_of_another_team_shows_through_an_address(client: Client, team: Team) -> None:
    other = make_team()
    secret = create_key(other, make_admin(other), "secret-key")
    usage.record([make_record(other, key_id=secret.pk, model="secret-model", cluster="secret-1")])
    usage.record([make_record(team)])

    page = show(client, team, range="7d", api_key=str(secret.pk), model="secret-model")
    listed = [
        client.get(reverse("usage:values", args=[team.pk]), {"field": field}).content.decode()
        for field in ("api_key", "model", "cluster", "ip")
    ]

    assert cards(page)["Requests"].startswith("0|")
    assert f"Unknown key {str(secret.pk)[:8]}" in page
    assert "secret-key" not in page
    assert not [text for text in listed if "secret" in text]
    assert "atlas-8b" in listed[1]
    for name in ("explorer", "table_csv", "table_json", "values"):
        address = reverse(f"usage:{name}", args=[other.pk])
        assert client.get(address, {"field": "model"}).status_code == 404


def test_a_key_s_own_page_leads_to_its_usage(client: Client, alice: User, team: Team) -> None:
    key = create_key(team, alice, "web-production")
    usage.record([make_record(team, key_id=key.pk), make_record(team)])

    page = client.get(reverse("api_keys:key", args=[team.pk, key.pk])).content.decode()
    (address,) = re.findall(r'href="([^"]*)">(?:(?!<a).)*View usage', page)
    view = unescape(client.get(unescape(address)).content.decode())

    assert cards(view)["Requests"].startswith("1|")
    assert "API key is web-production" in view


def test_a_list_of_values_is_searched_where_they_are(client: Client, team: Team) -> None:
    usage.record([make_record(team, ip=f"10.1.{n // 250}.{n % 250}") for n in range(300)])
    address = reverse("usage:values", args=[team.pk])

    first = client.get(address, {"field": "ip"}).content.decode()
    found = client.get(
        address, {"field": "ip", "search_ip": "10.1.1.49", "ip": "10.9.9.9"}
    ).content.decode()
    nothing = client.get(address, {"field": "ip", "search_ip": "\x00<b>"}).content.decode()

    assert first.count("<input") == 50
    assert "There are more." in first
    assert re.findall(r'value="([^"]+)"( checked)?', found) == [
        ("10.9.9.9", " checked"),
        ("10.1.1.49", ""),
    ]
    assert "Nothing has “&lt;b&gt;” in it." in nothing
    assert client.get(address, {"field": "weather"}).status_code == 404
    types = client.get(address, {"field": "token_type"}).content.decode()
    assert types.count("<input") == 5


def test_values_that_are_chosen_are_chips_that_can_be_taken_away(
    client: Client, team: Team
) -> None:
    usage.record([make_record(team)])

    page = show(client, team, range="7d", model="atlas-8b", not_ip="203.0.113.9")

    assert (
        'href="?range=7d&tz=UTC&not_ip=203.0.113.9" aria-label="Without: Model is atlas-8b"' in page
    )
    assert "Filters (2)" in page


def test_a_field_may_be_filtered_on_both_sides(client: Client, team: Team) -> None:
    usage.record([make_record(team, cluster=cluster) for cluster in ("fra-1", "")])

    page = show(client, team, cluster="fra-1", not_cluster="(none)")

    assert cards(page)["Requests"].startswith("1|")
    assert ">Cluster is fra-1<" in page
    # What the panel has no room for goes along with what it sends.
    assert '<input type="hidden" name="not_cluster" value="(none)">' in page


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
    usage.record([make_record(team, at=NOON - timedelta(days=30))])
    query = {"from": first, "to": last, "granularity": granularity, "sort": "period"}

    page = show(client, team, **query)

    assert [row["remark"] for row in read_csv(client, team, **query)] == remarks
    assert all(row.endswith(word) for row, word in zip(shown(page), remarks, strict=True))
    partial = [place for place, remark in enumerate(remarks) if remark]
    assert figure(page)["layout"]["meta"].get("partial", []) == partial


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
    assert part.content.strip() in page.content
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


def test_a_store_that_cannot_be_reached_is_a_sentence(
    client: Client, team: Team, settings: Any
) -> None:
    settings.CLICKHOUSE = AWAY
    # It has been fed with something, so that it has to be asked.
    UsageFeed.objects.create(store="clickhouse", fed_seq=1)

    page = client.get(usage_url(team))
    file = client.get(reverse("usage:table_csv", args=[team.pk]))
    listed = client.get(reverse("usage:values", args=[team.pk]), {"field": "model"})

    # What there is to filter by is known here.
    assert (page.status_code, file.status_code, listed.status_code) == (503, 503, 200)
    assert b"Usage cannot be read at the moment." in page.content
    assert b"<form" in page.content


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


def test_failures_have_a_column_when_there_are_any(client: Client, team: Team) -> None:
    usage.record([make_record(team) for _ in range(3)])
    assert "Failed" not in table(show(client, team))[0]

    usage.record([make_record(team, status=502, items=())])
    page = show(client, team, dimension="requests")

    assert table(page)[0][:3] == ["Hour", "Requests", "Failed"]
    assert table(page)[-1][1:3] == ["4", "1"]
    assert cards(page)["Requests"] == "4|1 failed, 25.00%"


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
    assert len(shown(page)) == quarters / 4
    assert sum(int(row[1]) for row in table(page)[1:-1]) == quarters
    assert len(set(shown(page))) == len(shown(page))
