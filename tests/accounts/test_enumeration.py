"""No answer tells whether an account exists: not its text, its status, or the work behind it."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core import mail
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django import Settings

from accounts.models import User
from tests.accounts.people import make_person, text_of
from tests.factories import PASSWORD
from tests.hashers import CountingArgon2

NOBODY = "nobody@example.test"

Ask = Callable[[Client, str], Any]


def sign_in(client: Client, email: str) -> Any:
    return client.post(reverse("account_login"), {"login": email, "password": "wrong-password-1"})


def sign_up(client: Client, email: str) -> Any:
    form = {"name": "Alice", "email": email, "password1": PASSWORD}
    return client.post(reverse("account_signup"), form)


def reset(client: Client, email: str) -> Any:
    return client.post(reverse("account_reset_password"), {"email": email})


@pytest.mark.django_db
@pytest.mark.parametrize("ask", [sign_in, sign_up, reset])
def test_a_known_and_an_unknown_address_get_one_answer(ask: Ask) -> None:
    person = make_person()
    one, other = Client(), Client()

    known, unknown = ask(one, person.email), ask(other, NOBODY)

    assert known.status_code == unknown.status_code
    assert known.headers.get("Location") == unknown.headers.get("Location")
    assert text_of(known).replace(person.email, NOBODY) == text_of(unknown)
    assert dict(known.headers).keys() == dict(unknown.headers).keys()
    assert known.cookies.keys() == unknown.cookies.keys()
    if known.status_code == 302:
        assert text_of(one.get(known.headers["Location"])) == text_of(
            other.get(known.headers["Location"])
        )


@pytest.mark.django_db
@pytest.mark.parametrize("ask", [sign_in, sign_up])
def test_a_password_is_hashed_once_whether_or_not_there_is_an_account(
    settings: Settings, ask: Ask
) -> None:
    """It takes most of the time of an answer."""
    person = make_person()
    settings.PASSWORD_HASHERS = ["tests.hashers.CountingArgon2"]
    User.objects.filter(pk=person.pk).update(password=CountingArgon2().encode(PASSWORD, "saltsalt"))
    counted = []

    for email in (person.email, NOBODY):
        CountingArgon2.count = 0
        ask(Client(), email)
        counted.append(CountingArgon2.count)

    assert counted == [1, 1]


@pytest.mark.django_db
@pytest.mark.parametrize("ask", [sign_in, sign_up, reset])
def test_both_get_one_mail_or_none(ask: Ask) -> None:
    person = make_person()
    counted = []

    for email in (person.email, NOBODY):
        cache.clear()
        mail.outbox.clear()
        ask(Client(), email)
        counted.append(len(mail.outbox))

    assert counted[0] == counted[1]


@pytest.mark.django_db
def test_a_reset_asks_the_database_about_as_much_for_both() -> None:
    person = make_person()
    reset(Client(), "warm-up@example.test")
    counted = []

    for email in (person.email, NOBODY):
        with CaptureQueriesContext(connection) as queries:
            reset(Client(), email)
        counted.append(len(queries))

    assert abs(counted[0] - counted[1]) <= 4, counted
