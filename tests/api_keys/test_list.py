"""The list of keys: searched, filtered, sorted, cut into pages, the same for 3 keys and 300."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from accounts.actors import SYSTEM
from accounts.models import Team, User
from api_keys import services as api_keys
from api_keys.models import ApiKey, KeyMonth
from api_keys.rules import TICKS_PER_USD
from api_keys.services import EVERYTHING
from api_keys.views import PAGE_SIZE
from tests.factories import NOON, make_member

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
NOW = NOON + 10 * DAY


@pytest.fixture
def client(client: Client, alice: User) -> Any:
    with time_machine.travel(NOW, tick=False):
        client.force_login(alice)
        yield client


def make_key(
    owner: User,
    team: Team,
    name: str,
    *,
    day: int = 0,
    expires_at: datetime | None = None,
    used: int | None = None,
    dollars: int = 0,
) -> ApiKey:
    key = api_keys.create(
        team=team,
        actor=SYSTEM,
        owner=owner,
        name=name,
        terms=replace(EVERYTHING, expires_at=expires_at),
        now=NOON + day * DAY,
    ).key
    if used is not None:
        ApiKey.of(team).filter(pk=key.pk).update(last_used_at=NOON + used * DAY)
    if dollars:
        KeyMonth.across_teams.create(
            team=team, key=key, month=NOW.date().replace(day=1), spent_ticks=dollars * TICKS_PER_USD
        )
    return key


@pytest.fixture
def keys(team: Team, alice: User, bob: User) -> dict[str, ApiKey]:
    """Make four keys that differ in all that a list can be sorted by."""
    return {
        "Web": make_key(alice, team, "Web", day=1, used=9, dollars=3),
        "api": make_key(bob, team, "api", day=3, expires_at=NOW + 3 * DAY, used=1, dollars=30),
        "bot": make_key(alice, team, "bot", day=2, expires_at=NOW - DAY),
        "zoo": make_key(bob, team, "zoo", day=0, expires_at=NOW + 90 * DAY, used=5, dollars=1),
    }


def url(team: Team) -> str:
    return reverse("api_keys:list", args=[team.pk])


def listed(client: Client, team: Team, **query: str) -> list[str]:
    return [key.name for key in client.get(url(team), query, follow=True).context["page"]]


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize(
    ("sort", "names"),
    [
        ("", "api bot Web zoo"),
        ("-created", "api bot Web zoo"),
        ("created", "zoo Web bot api"),
        ("name", "api bot Web zoo"),
        ("-name", "zoo Web bot api"),
        ("owner", "bot Web api zoo"),
        ("-owner", "api zoo bot Web"),
        ("expires", "bot api zoo Web"),
        ("-expires", "zoo api bot Web"),
        ("last_used", "api zoo Web bot"),
        ("-last_used", "Web zoo api bot"),
        ("spent", "bot zoo Web api"),
        ("-spent", "api Web zoo bot"),
        ("digest", "api bot Web zoo"),
        ("-", "api bot Web zoo"),
    ],
)
def test_keys_are_sorted_by_what_is_asked(
    client: Client, team: Team, sort: str, names: str
) -> None:
    assert listed(client, team, sort=sort) == names.split()


@pytest.mark.usefixtures("keys")
def test_a_columns_head_says_how_it_is_sorted_and_turns_it_around(
    client: Client, team: Team
) -> None:
    page = client.get(url(team), {"sort": "name", "q": "o"})

    by_name, by_owner = page.context["columns"][0], page.context["columns"][3]
    assert (by_name.sorted, by_owner.sorted) == ("ascending", "")
    assert by_name.address == f"{url(team)}?q=o&sort=-name"
    assert by_owner.address == f"{url(team)}?q=o&sort=owner"
    assert page.content.decode().count("aria-sort") == 1


@pytest.mark.usefixtures("keys")
def test_a_key_is_found_by_a_part_of_its_name_or_the_end_of_its_secret(
    client: Client, team: Team, keys: dict[str, ApiKey]
) -> None:
    assert listed(client, team, q="WE") == ["Web"]
    assert listed(client, team, q=" o ") == ["bot", "zoo"]
    assert listed(client, team, q=keys["zoo"].redacted[-4:]) == ["zoo"]
    assert listed(client, team, q=keys["zoo"].redacted) == ["zoo"]
    assert listed(client, team, q="%") == []
    assert listed(client, team, q="\x00") == ["api", "bot", "Web", "zoo"]


def test_a_whole_secret_finds_its_key_and_leaves_the_address(
    client: Client, team: Team, alice: User
) -> None:
    made = api_keys.create(team=team, actor=SYSTEM, owner=alice, name="bot", now=NOON)
    make_key(alice, team, "other")

    answer = client.get(url(team), {"q": made.secret})
    page = client.get(answer.headers["Location"])

    assert answer.status_code == 302
    assert made.secret[:40] not in answer.headers["Location"]
    assert [key.name for key in page.context["page"]] == ["bot"]
    assert made.secret[:40] not in page.content.decode()


def test_what_is_typed_in_the_search_may_be_of_any_length(client: Client, team: Team) -> None:
    assert client.get(url(team), {"q": "x y " * 2_000}, follow=True).status_code == 200


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize(
    ("status", "names"),
    [
        ("active", ["api", "zoo"]),
        ("disabled", []),
        ("expired", ["bot"]),
        ("blocked", ["Web"]),
        ("deleted", ["api", "bot", "Web", "zoo"]),
        ("nonsense", ["api", "bot", "Web", "zoo"]),
    ],
)
def test_keys_are_filtered_by_what_the_gateway_makes_of_them(
    client: Client, team: Team, status: str, names: list[str]
) -> None:
    ApiKey.of(team).filter(name="Web").update(blocked_at=NOON, disabled_at=NOON)
    ApiKey.of(team).filter(name="bot").update(disabled_at=NOON)

    assert listed(client, team, status=status) == names


@pytest.mark.parametrize("status", list(ApiKey.Status))
def test_the_filter_and_the_key_agree_on_its_state(
    team: Team, alice: User, status: ApiKey.Status
) -> None:
    moments = [None, NOON]
    for n in range(16):
        key = make_key(alice, team, f"key-{n}")
        ApiKey.of(team).filter(pk=key.pk).update(
            disabled_at=moments[n % 2],
            blocked_at=moments[n // 2 % 2],
            expires_at=moments[n // 4 % 2],
            deleted_at=moments[n // 8 % 2],
        )

    found = set(ApiKey.of(team).in_status(status, NOW))

    assert found == {key for key in ApiKey.of(team) if key.status_at(NOW) == status}
    assert found


def test_keys_are_filtered_by_their_owner(
    client: Client, team: Team, bob: User, keys: dict[str, ApiKey]
) -> None:
    page = client.get(url(team))

    assert [owner.display_name for owner in page.context["owners"]] == [
        "Alice Moreau",
        "bob tanaka",
    ]
    assert listed(client, team, owner=str(bob.pk)) == ["api", "zoo"]
    assert listed(client, team, owner="7") == ["api", "bot", "Web", "zoo"]
    assert listed(client, team, owner=str(keys["Web"].pk)) == []


def test_a_member_finds_nobody_elses_key_however_they_ask(
    client: Client, team: Team, alice: User, bob: User, keys: dict[str, ApiKey]
) -> None:
    client.force_login(bob)

    assert listed(client, team, q="Web") == []
    assert listed(client, team, owner=str(alice.pk)) == []
    assert listed(client, team, q=keys["bot"].redacted) == []
    assert client.get(url(team)).context["owners"] == []


@pytest.mark.usefixtures("keys")
def test_nothing_found_is_said_and_leads_back(client: Client, team: Team) -> None:
    page = client.get(url(team), {"q": "nobody"}).content.decode()

    assert "No key found" in page
    assert "“nobody”" in page
    assert "Show all keys" in page
    assert "No API keys yet" not in page


@pytest.mark.usefixtures("keys")
def test_the_list_shows_what_a_key_may_what_it_costs_and_how_long_it_works(
    client: Client, team: Team
) -> None:
    page = client.get(url(team)).content.decode()

    assert "Spent in Mar" in page
    for words in ("$30.00", "$3.00", "$0.00", "Everything", "Expires in 3 days", "Expired"):
        assert words in page


def test_pages_keep_what_was_asked(client: Client, team: Team, alice: User) -> None:
    for n in range(PAGE_SIZE + 1):
        make_key(alice, team, f"key-{n:02}")

    first = client.get(url(team), {"q": "key", "sort": "name"})
    second = client.get(first.context["pager"].older)

    assert [key.name for key in second.context["page"]] == [f"key-{PAGE_SIZE:02}"]
    assert first.context["pager"].older == f"{url(team)}?q=key&sort=name&page=2"


def test_a_button_leads_back_to_what_was_asked(
    client: Client, team: Team, keys: dict[str, ApiKey]
) -> None:
    disable = reverse("api_keys:disable", args=[team.pk, keys["Web"].pk])

    answer = client.post(f"{disable}?q=We&status=active&sort=-name&page=2&next=//evil.test")

    assert answer.headers["Location"] == f"{url(team)}?q=We&status=active&sort=-name&page=2"


@pytest.mark.parametrize("query", ["", "?sort=-spent", "?q=key&status=active&sort=owner"])
def test_many_keys_of_many_people_cost_no_more_queries_than_one(
    client: Client,
    team: Team,
    alice: User,
    query: str,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    make_key(alice, team, "key", dollars=1)
    client.get(url(team) + query)
    with CaptureQueriesContext(connection) as one:
        client.get(url(team) + query)

    for n in range(20):
        make_key(make_member(team), team, f"key-{n}", dollars=n)

    with django_assert_num_queries(len(one)):
        client.get(url(team) + query)
