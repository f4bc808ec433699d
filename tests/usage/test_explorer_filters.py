"""What narrows usage: values, addresses, and that nobody sees another team's."""

import re
from datetime import timedelta
from decimal import Decimal
from html import unescape
from typing import Any
from urllib.parse import urljoin

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Team, User
from tests.factories import NOON, make_admin, make_team
from tests.usage.pages import (
    IPS,
    KEYS,
    USAGE,
    cards,
    create_key,
    read_json,
    record_mixed,
    show,
    shown,
    table,
    usage_url,
)
from tests.usage.requests import make_record
from usage import services as usage

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("at_noon", "alice")]


def test_filters_narrow_everything_that_is_shown(client: Client, team: Team) -> None:
    mixed = record_mixed(team)

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


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"from": "2026-03-01", "to": "2026-02-01"}, "1 Feb 2026, is before the first, 1 Mar 2026"),
        ({"from": "2016-02-28", "to": "2026-03-01"}, "3,655 days. One page shows at most 3,653"),
        ({"from": "2026-03-01", "to": "2026-03-03"}, "3 Mar 2026 has not begun yet."),
        ({"from": "1999-12-31", "to": "2000-01-01"}, "31 Dec 1999 is too early."),
        ({"from": "0001-01-01", "to": "9999-12-31"}, "1 Jan 0001 is too early."),
        ({"from": "2026-02-30", "to": "2026-03-01"}, "“2026-02-30” is not a day."),
        ({"from": "<b>" * 99, "to": "2026-03-01"}, f"“{'<b>' * 13}<…” is not a day."),
        ({"from": "2026-03-01T10:05", "to": "2026-03-01"}, "“2026-03-01T10:05” is not a day."),
        ({"from": "2026-03-01T10:00+00:07", "to": "2026-03-01"}, "is not a day."),
        ({"from": "2026-03-01T10:00", "to": "2026-03-01T10:00"}, "This is not after the time"),
        ({"from": "2026-03-01"}, "Choose a day."),
        ({"to": "2026-03-01"}, "Choose a day."),
        ({"range": "for ever"}, "“for ever” is not a range."),
        ({"range": "\x00"}, "is not a range."),
        ({"tz": "Mars/Olympus"}, "“Mars/Olympus” is not a time zone."),
        (
            {"granularity": "minute"},
            "Granularity cannot be “minute”. Choose 15 minutes, Hourly, ",
        ),
        ({"dimension": "smell"}, "Dimension cannot be “smell”. Choose Cost in USD, Tokens, "),
        ({"group": "colour"}, "Group by cannot be “colour”. Choose API key, Model, Cluster, "),
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

    hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form))
    hidden.pop("held", None)  # The range that has a name, beside a wrong zone.
    assert hidden == chosen


def test_a_granularity_that_does_not_fit_falls_to_the_nearest_and_says_so(
    client: Client, team: Team
) -> None:
    usage.record([make_record(team)])

    page = show(client, team, range="7d", granularity="15m")

    assert "23 Feb to 1 Mar 2026 cannot be shown by 15 minutes, so it is shown by hour." in page
    assert len(shown(page)) == 6 * 24 + 13


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


def test_a_range_with_a_name_keeps_it_while_a_wrong_zone_is_mended(
    client: Client, team: Team
) -> None:
    usage.record([make_record(team)])
    page = show(client, team, range="7d", tz="Mars/Olympus")
    (form,) = re.findall(r'<form[^>]*aria-label="Range">.*?</form>', page, re.DOTALL)

    mended = client.get(usage_url(team), sent(form) | {"tz": "Asia/Tokyo"}, headers=USAGE)

    assert mended.headers["HX-Push-Url"].partition("?")[2] == "range=7d&tz=Asia%2FTokyo"


def test_a_key_s_own_page_leads_to_its_usage(client: Client, alice: User, team: Team) -> None:
    key = create_key(team, alice, "web-production")
    usage.record([make_record(team, key_id=key.pk), make_record(team)])

    page = client.get(reverse("api_keys:key", args=[team.pk, key.pk])).content.decode()
    (address,) = re.findall(r'href="([^"]*)">(?:(?!<a).)*View usage', page)
    view = unescape(client.get(unescape(address)).content.decode())

    assert cards(view)["Requests"].startswith("1|")
    assert "API key is web-production" in view


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


@pytest.mark.parametrize(
    ("label", "changes", "chosen"),
    [
        ("Range", {"from": "2026-02-27", "held": ""}, "27 Feb to 1 Mar 2026"),
        ("What is shown", {"dimension": "tokens"}, "Tokens per day"),
        ("Filters", {"ip": "203.0.113.7", "ip_is": "not"}, "Request IP is not 203.0.113.7"),
    ],
)
def test_without_script_each_form_sends_all_there_is_and_has_a_button(
    client: Client, team: Team, label: str, changes: dict[str, str], chosen: str
) -> None:
    record_mixed(team)
    page = show(client, team, range="7d", group="model", cluster="fra-1", not_model="atlas-8b")

    (form,) = re.findall(rf'<form[^>]*aria-label="{label}".*?</form>', page, re.DOTALL)
    answer = show(client, team, **sent(form) | changes)

    assert re.search(r'<button( class="primary")?>', form)
    assert chosen in answer
    assert "Model is not atlas-8b" in answer
    assert "Cluster is fra-1" in answer
    assert shown(answer) == ["atlas-70b"]


@pytest.mark.parametrize("name", ["explorer", "requests"])
def test_without_script_a_link_leads_to_what_a_filter_can_be(
    client: Client, team: Team, name: str
) -> None:
    record_mixed(team)
    usage.record([make_record(make_team(), model="others-model")])
    address = reverse(f"usage:{name}", args=[team.pk])
    page = client.get(address, {"range": "7d", "not_model": "atlas-8b"}).content.decode()

    (link,) = re.findall(r'<a href="([^"]*list=model)">Show the list</a>', page)
    answer = client.get(urljoin(address, unescape(link))).content.decode()

    (form,) = re.findall(r'<form[^>]*aria-label="Filters">.*?</form>', answer, re.DOTALL)
    listed = re.findall(r'name="model" value="([^"]*)"( checked)?', form)
    assert listed == [("atlas-8b", " checked"), ("atlas-70b", "")]
    assert "others-model" not in answer
    assert "Show the list" in form
    assert 'list=model"' not in form


def sent(form: str) -> dict[str, str]:
    """List what a browser without script sends of a form."""
    fields = dict(
        re.findall(r'<input type="(?:hidden|date|text)" name="(\w+)" value="([^"]*)"', form)
    )
    for name, options in re.findall(
        r'<select[^>]* name="(\w+)".*?>(.*?)</select>', form, re.DOTALL
    ):
        values = re.findall(r'<option value="([^"]*)"( selected)?', options)
        fields[name] = next((value for value, is_chosen in values if is_chosen), values[0][0])
    for tag in re.findall(r'<input type="checkbox"[^>]* checked[^>]*>', form):
        fields |= dict(re.findall(r'name="(\w+)" value="([^"]*)"', tag))
    return fields
