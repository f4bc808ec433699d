"""Where keys are used from: looked up in the background, shown by country, told when new."""

from datetime import datetime, timedelta

import pytest
from django.core import mail
from django.urls import reverse
from procrastinate.contrib.django import app
from pytest_django import DjangoAssertNumQueries

from accounts.actors import SYSTEM
from accounts.models import Membership, Team
from accounts.places import country_of
from api_keys import services as api_keys
from api_keys import tasks
from api_keys.models import ApiKey, KeyAddress
from audit import services as audit
from tests.clients import Browser
from tests.factories import NOON, make_admin, make_member, make_team
from tests.races import race, race_behind
from tests.servers import until

pytestmark = pytest.mark.django_db

LONDON, OTHER_LONDON, CALIFORNIA, BONN = "81.2.69.142", "81.2.69.160", "8.8.8.8", "193.99.144.80"
HOME, RESERVED, BONN_6 = "192.168.0.7", "203.0.113.7", "2a02:8100::1"
DAY = timedelta(days=1)


def make_key(team: Team | None = None) -> ApiKey:
    team = team or make_team()
    return api_keys.create(
        team=team, actor=SYSTEM, owner=make_member(team), name="returns-bot", now=NOON
    ).key


def use(key: ApiKey, *ips: str, at: datetime = NOON) -> None:
    """Note uses as the gateway does."""
    for ip in ips:
        api_keys.touch({(key.pk, ip): at})


def look() -> list[str]:
    """Run the task, and return the countries that people were mailed about."""
    before = len(mail.outbox)
    tasks.look_up_countries(timestamp=0)
    return [message.subject.rpartition(": ")[2] for message in mail.outbox[before:]]


def countries(key: ApiKey) -> dict[str, list[str]]:
    return {country.name: country.newest for country in api_keys.addresses_of(key)}


# --- The mail


def test_the_owner_is_mailed_once_about_each_country_that_is_new_to_a_key() -> None:
    team = make_team("Larkspur")
    key = make_key(team)
    make_admin(team)
    use(key, LONDON)
    assert look() == []  # There is nothing to compare the first one with.

    use(key, OTHER_LONDON, CALIFORNIA, at=NOON + DAY)
    assert look() == ["United States"]
    use(key, CALIFORNIA, "8.8.4.4", LONDON, at=NOON + 2 * DAY)
    assert look() == []
    use(key, BONN_6, at=NOON + 3 * DAY)
    assert look() == ["Germany"]

    first = mail.outbox[0]
    assert key.owner
    assert first.to == [key.owner.email]
    assert first.subject == "API key returns-bot is used from a new country: United States"
    body = str(first.body)
    assert "From: United States (8.8.8.8)" in body
    assert "First: 2 Mar 2026, 12:00 UTC" in body
    assert reverse("api_keys:key", args=[team.pk, key.pk]) in body


def test_countries_of_one_look_up_are_told_in_the_order_of_their_use() -> None:
    key = make_key()
    use(key, CALIFORNIA, at=NOON + 2 * DAY)
    use(key, LONDON, at=NOON)
    use(key, BONN, BONN_6, at=NOON + DAY)

    assert look() == ["Germany", "United States"]
    assert look() == []


def test_a_country_is_new_to_each_key_alone() -> None:
    team = make_team()
    key, other = make_key(team), make_key(team)
    use(key, LONDON)
    use(other, CALIFORNIA)
    look()

    use(key, CALIFORNIA)

    assert look() == ["United States"]


@pytest.mark.parametrize("unknown", [HOME, RESERVED, "0.0.0.0"])  # noqa: S104 -- it is no server
def test_a_place_that_is_not_known_is_never_new_nor_something_to_compare_with(
    unknown: str,
) -> None:
    key = make_key()
    use(key, unknown)
    assert look() == []
    use(key, LONDON)
    assert look() == []
    use(key, "10.0.0.1")

    assert look() == []
    assert countries(key).keys() == {"", "United Kingdom"}


def test_nobody_is_mailed_about_a_deleted_key() -> None:
    key = make_key()
    use(key, LONDON, CALIFORNIA)
    api_keys.delete(key=key, actor=SYSTEM, now=NOON)

    assert look() == []


def test_admins_are_mailed_where_the_owner_has_left() -> None:
    team = make_team()
    key, admin = make_key(team), make_admin(team)
    Membership.objects.filter(user=key.owner).delete()
    use(key, LONDON, CALIFORNIA)

    assert look() == ["United States"]
    assert mail.outbox[0].to == [admin.email]


@pytest.mark.django_db(transaction=True)
def test_workers_that_look_at_once_tell_once() -> None:
    key = make_key()
    use(key, LONDON)
    look()
    use(key, CALIFORNIA, BONN)

    race(*[lambda: tasks.look_up_countries(timestamp=0)] * 4)

    assert len(mail.outbox) == 2


@pytest.mark.django_db(transaction=True)
def test_while_countries_are_written_down_the_use_of_the_key_is_still_noted() -> None:
    key = make_key()
    use(key, LONDON, OTHER_LONDON)
    addresses = KeyAddress.of(key.team)

    def note() -> object:
        until(lambda: addresses.filter(country="United Kingdom").exists(), "the first country")
        return api_keys.touch({(key.pk, BONN): NOON})

    _, skipped = race_behind(
        lambda: addresses.select_for_update().get(ip=OTHER_LONDON),
        lambda: tasks.look_up_countries(timestamp=0),
        note,
    )

    assert skipped == {}
    assert set(addresses.values_list("ip", "country")) == {
        (LONDON, "United Kingdom"),
        (OTHER_LONDON, "United Kingdom"),
        (BONN, None),
    }


def test_the_tasks_run_by_themselves() -> None:
    crons = {
        periodic.task.name: periodic.cron
        for periodic in app.periodic_registry.periodic_tasks.values()
    }

    assert crons["api_keys.tasks.look_up_countries"] == "*/5 * * * *"
    assert crons["api_keys.tasks.prune_addresses"] == "45 3 * * *"
    assert crons["api_keys.tasks.remind_of_expiry"] == "0 9 * * *"


def test_countries_are_countries_and_no_cities() -> None:
    assert [country_of(ip) for ip in (LONDON, BONN, HOME, "", None)] == [
        "United Kingdom",
        "Germany",
        "",
        "",
        "",
    ]


# --- The switch


def test_an_admin_switches_the_mails_off_and_on_again(client: Browser) -> None:
    team = make_team()
    key = make_key(team)
    client.force_login(make_admin(team))
    url = reverse("api_keys:settings", args=[team.pk])

    off = client.post(url, follow=True)

    assert "Send these mails" in off.content.decode()
    use(key, LONDON, CALIFORNIA)
    assert look() == []
    client.post(url)  # A double click.
    on = client.post(url, {"mails_new_countries": "on"}, follow=True)
    assert "Stop these mails" in on.content.decode()
    use(key, BONN)
    assert look() == ["Germany"]
    changes = audit.log(team).filter(operation="UpdateApiKeySettings")
    assert [(event.before, event.after) for event in changes] == [
        ({"mails_new_countries": False}, {"mails_new_countries": True}),
        ({"mails_new_countries": True}, {"mails_new_countries": False}),
    ]


def test_a_switch_is_of_one_team() -> None:
    here, there = make_team(), make_team()
    api_keys.set_mails_new_countries(team=here, wanted=False, actor=SYSTEM, now=NOON)

    assert [api_keys.mails_new_countries(team) for team in (here, there)] == [False, True]


def test_a_member_sees_the_switch_and_cannot_turn_it(client: Browser) -> None:
    team = make_team()
    client.force_login(make_member(team))

    page = client.get(reverse("api_keys:list", args=[team.pk])).content.decode()

    assert "is mailed when it is first used from a country" in page
    assert "Stop these mails" not in page
    assert client.post(reverse("api_keys:settings", args=[team.pk])).status_code == 403


# --- What is kept, and shown


def test_addresses_are_shown_by_country_the_latest_first() -> None:
    key = make_key()
    for number in range(5):
        use(key, f"81.2.69.{number}", at=NOON + number * DAY)
    use(key, HOME, at=NOON + 9 * DAY)
    use(key, BONN, at=NOON + DAY)
    look()
    use(key, CALIFORNIA, at=NOON + 8 * DAY)  # Not looked up yet.

    unknown, britain, germany = api_keys.addresses_of(key)

    assert (unknown.name, unknown.newest) == ("", [HOME, CALIFORNIA])
    assert (britain.name, britain.count, britain.more) == ("United Kingdom", 5, 2)
    assert britain.newest == ["81.2.69.4", "81.2.69.3", "81.2.69.2"]
    assert (britain.first_used_at, britain.last_used_at) == (NOON, NOON + 4 * DAY)
    assert germany.name == "Germany"
    assert api_keys.addresses_of(make_key()) == []


def test_many_addresses_cost_no_more_queries_than_one(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    key = make_key()
    for rest in range(200):
        use(key, f"81.2.{rest}.1")
    use(key, BONN, CALIFORNIA, HOME)
    look()

    with django_assert_num_queries(2):
        api_keys.addresses_of(key)


def test_what_was_not_used_for_90_days_is_forgotten_but_not_a_living_keys_last_address() -> None:
    key, dead = make_key(), make_key()
    use(key, LONDON, CALIFORNIA, at=NOON)
    use(key, BONN, at=NOON + DAY)
    use(dead, LONDON, at=NOON)
    api_keys.delete(key=dead, actor=SYSTEM, now=NOON)
    look()

    api_keys.prune_addresses(now=NOON + 90 * DAY)
    assert KeyAddress.across_teams.count() == 4
    api_keys.prune_addresses(now=NOON + 200 * DAY)

    assert KeyAddress.across_teams.get().ip == BONN
    # So that somebody is told when a key that was forgotten is used from elsewhere.
    mail.outbox.clear()
    use(key, CALIFORNIA, at=NOON + 201 * DAY)
    assert look() == ["United States"]


def test_the_pages_of_a_key_show_where_it_was_used_from_and_found(client: Browser) -> None:
    team = make_team()
    key = make_key(team)
    client.force_login(make_admin(team))
    url = reverse("api_keys:key", args=[team.pk, key.pk])
    assert "Nobody has used this key yet." in client.get(url).content.decode()
    use(key, LONDON)
    look()
    api_keys.report_leak(
        key=key,
        reporter=api_keys.Reporter.STAFF,
        source="forum_post",
        url='https://x.test/"><script>',
        actor=SYSTEM,
        now=NOON,
    )

    page = client.get(url).content.decode()

    assert "United Kingdom" in page
    assert LONDON in page
    assert "Found in public" in page
    assert "forum post" in page
    assert 'href="https://x.test/%22%3E%3Cscript%3E" rel="noopener noreferrer nofollow"' in page
    assert "Nobody has used this key yet." not in page
