"""Time zones: the browser says its own at sign-up and sign-in, and pages show times in it."""

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from tests.accounts.people import make_person, sign_in, sign_up

pytestmark = pytest.mark.django_db
EMAIL = "zoe@example.test"


@pytest.mark.parametrize(
    ("named", "kept"),
    [
        ("Europe/Berlin", "Europe/Berlin"),
        ("Asia/Calcutta", "Asia/Calcutta"),
        ("", "UTC"),
        ("Mars/Olympus", "UTC"),
        ("../../etc/passwd", "UTC"),
        ("nul\0", "UTC"),
        ("x" * 10_000, "UTC"),
    ],
)
def test_who_signs_up_lives_where_the_browser_says_or_else_in_utc(
    client: Client, named: str, kept: str
) -> None:
    sign_up(client, EMAIL, timezone=named)

    assert User.objects.get().timezone == kept


def test_a_browser_that_says_nothing_signs_up_all_the_same(client: Client) -> None:
    sign_up(client, EMAIL)

    assert User.objects.get().timezone == "UTC"


def test_an_account_without_a_zone_gets_one_at_sign_in_and_keeps_it(client: Client) -> None:
    person = make_person()

    sign_in(client, person.email, timezone="Asia/Tokyo")
    sign_in(Client(), person.email, timezone="Europe/Berlin")

    person.refresh_from_db()
    assert person.timezone == "Asia/Tokyo"


def test_who_gets_the_password_wrong_moves_nobody(client: Client) -> None:
    person = make_person()

    sign_in(client, person.email, "not-the-password", timezone="Asia/Tokyo")

    person.refresh_from_db()
    assert person.timezone == "UTC"


@pytest.mark.parametrize("page", ["account_login", "account_signup"])
def test_both_forms_have_a_place_for_it(client: Client, page: str) -> None:
    content = client.get(reverse(page)).content.decode()

    assert '<input type="hidden" name="timezone" data-timezone id="id_timezone">' in content
