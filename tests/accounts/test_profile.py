"""The profile: what a person says about themselves, and how pages look to them."""

import re
import zoneinfo

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django.asserts import assertRedirects

from accounts import services as accounts
from accounts.actors import SYSTEM
from accounts.models import User
from audit import services as audit
from tests.accounts.people import make_person, sign_in
from tests.factories import NOON

pytestmark = pytest.mark.django_db
PROFILE = "/account/"


def save(client: Client, name: str = "Alice", timezone: str = "Europe/Berlin", **extra: str) -> str:
    answer = client.post(PROFILE, {"name": name, "timezone": timezone, **extra}, follow=True)
    assert answer.status_code == 200
    return answer.content.decode()


def test_a_change_is_kept_and_the_log_says_what_was_before(client: Client) -> None:
    person = make_person("Alice Larkspur")
    client.force_login(person)

    assert "Your profile is saved." in save(client, "Alice Moreau", "Asia/Tokyo")

    person.refresh_from_db()
    assert (person.name, person.timezone) == ("Alice Moreau", "Asia/Tokyo")
    event = audit.log(accounts.personal_team(person))[0]
    assert (event.operation, event.actor_label) == ("UpdateProfile", "Alice Larkspur")
    assert event.before == {"name": "Alice Larkspur", "timezone": "UTC"}
    assert event.after == {"name": "Alice Moreau", "timezone": "Asia/Tokyo"}


def test_what_was_not_changed_is_not_in_the_log(client: Client) -> None:
    person = make_person("Alice")
    client.force_login(person)

    save(client, "Alice", "Asia/Tokyo")
    save(client, "Alice", "Asia/Tokyo")

    [event] = audit.log(accounts.personal_team(person)).filter(operation="UpdateProfile")
    assert event.after == {"timezone": "Asia/Tokyo"}


def test_all_times_are_shown_in_the_chosen_zone(client: Client) -> None:
    person = make_person()
    client.force_login(person)

    save(client, timezone="Pacific/Auckland")

    event = audit.log(accounts.personal_team(person))[0]
    log = client.get(reverse("audit:log", args=[accounts.personal_team(person).pk]))
    local = event.happened_at.astimezone(zoneinfo.ZoneInfo("Pacific/Auckland"))
    assert f"{local:%H:%M:%S}" in log.content.decode()


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("europe/berlin", "Europe/Berlin"),
        ("America/New York", "America/New_York"),
        ("America/Argentina/Buenos_Aires", "America/Argentina/Buenos_Aires"),
        ("Asia/Calcutta", "Asia/Calcutta"),
    ],
)
def test_a_zone_may_be_typed_as_people_type(client: Client, typed: str, kept: str) -> None:
    person = make_person()
    client.force_login(person)

    save(client, timezone=typed)

    person.refresh_from_db()
    assert person.timezone == kept


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../../etc/passwd", "localtime", "Factory", "+2"])
def test_what_is_no_zone_is_named_and_nothing_is_kept(client: Client, zone: str) -> None:
    person = make_person()
    client.force_login(person)

    page = save(client, "Other", zone)

    assert "is not a time zone. Choose one of the list" in page
    assert f'value="{zone}"' in page  # What was typed is still there to be corrected.
    person.refresh_from_db()
    assert (person.name, person.timezone) == ("Alice Larkspur", "UTC")


def test_who_chose_utc_keeps_it_whatever_the_next_browser_says(client: Client) -> None:
    person = make_person()
    client.force_login(person)

    page = save(client, timezone="UTC")
    sign_in(Client(), person.email, timezone="Asia/Tokyo")

    person.refresh_from_db()
    assert person.zone.key == "Etc/UTC"
    assert 'value="UTC"' in page


@pytest.mark.parametrize("name", ["", "   ", "x" * 81, "nul\0", "evil\u202egnp.exe"])
def test_a_name_has_to_be_there_and_to_be_readable(client: Client, name: str) -> None:
    person = make_person()
    client.force_login(person)

    page = save(client, name)

    assert 'aria-invalid="true"' in page
    person.refresh_from_db()
    assert person.name == "Alice Larkspur"


def test_a_name_is_text_and_never_a_part_of_the_page(client: Client) -> None:
    client.force_login(make_person())

    page = save(client, "<script>alert(1)</script>")

    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_nothing_but_name_and_zone_can_be_changed_by_it(client: Client) -> None:
    person = make_person()
    client.force_login(person)

    save(
        client, is_staff="on", is_superuser="on", email="other@example.test", erased_at="2026-01-01"
    )

    stored = User.objects.get(pk=person.pk)
    assert not stored.is_staff
    assert not stored.is_superuser
    assert (stored.email, stored.erased_at) == (person.email, None)


def test_the_page_shows_the_account_and_leads_on(client: Client) -> None:
    person = make_person()
    client.force_login(person)

    page = client.get(PROFILE).content.decode()

    assert f'data-copy="{person.pk}"' in page
    assert person.email in page
    assert re.search(r'<option value="Europe/Berlin">', page)
    for name in ("accounts:data", "accounts:delete", "help"):
        assert f'href="{reverse(name)}"' in page


def test_the_theme_is_kept_and_leads_back_to_the_profile(client: Client) -> None:
    person = make_person()
    client.force_login(person)

    answer = client.post("/account/theme/", {"theme": "dark", "next": PROFILE})

    assertRedirects(answer, PROFILE)
    assert 'data-theme="dark"' in client.get(PROFILE).content.decode()


def test_a_person_in_many_teams_costs_as_much_as_one_in_one(client: Client) -> None:
    person = make_person()
    client.force_login(person)
    client.get(PROFILE)
    with CaptureQueriesContext(connection) as few:
        client.get(PROFILE)
    for number in range(20):
        accounts.create_team(name=f"Team {number}", owner=person, actor=SYSTEM, now=NOON)

    with CaptureQueriesContext(connection) as many:
        client.get(PROFILE)

    assert len(many) == len(few)
