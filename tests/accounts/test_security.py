"""Second factors: setting them up, removing them, and the page that lists them."""

import base64
import re
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from django.contrib.auth import SESSION_KEY
from django.core import mail
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Membership, Team, User
from accounts.services import factors
from tests.accounts.authenticators import add_app, add_key, code_of, factor_types
from tests.accounts.people import sign_in
from tests.accounts.security import (
    APP,
    CODES,
    INDEX,
    SECOND_STEP,
    at_the_second_step,
    hand,
    operations,
    secret_in,
)
from tests.clients import Browser
from tests.factories import NOON, make_team

pytestmark = pytest.mark.django_db


# --- Setting up


def test_an_app_is_set_up_by_a_code_it_shows_and_comes_with_recovery_codes(
    browser: Browser, person: User
) -> None:
    page = browser.get(APP)
    secret = secret_in(page)
    image = re.search(r'src="data:image/svg\+xml;base64,([^"]+)"', page.content.decode())
    assert image
    assert base64.b64decode(image[1]).startswith(b"<?xml")
    assert secret_in(browser.get(APP)) == secret  # In another tab, too.

    wrong = browser.post(APP, {"code": "000000x"})
    assert "The code is not right." in wrong.content.decode()
    assert secret_in(wrong) == secret
    answer = browser.post(APP, {"code": code_of(secret)})

    assert answer.headers["Location"] == CODES
    assert factor_types(person) == {"totp", "recovery_codes"}
    assert "AddSecondFactor" in operations(person)
    assert "Authenticator app was added" in mail.outbox[-1].body
    assert browser.get(APP).headers["Location"] == INDEX
    assert "mfa.totp.secret" not in browser.session


def test_the_code_that_set_an_app_up_does_not_sign_in_as_well(
    browser: Browser, person: User
) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        browser.force_login(person)
        secret = secret_in(browser.get(APP))
        code = code_of(secret)
        browser.post(APP, {"code": code})
        thief = at_the_second_step(person)

        thief.post(SECOND_STEP, {"code": code})
        assert SESSION_KEY not in thief.session
        clock.shift(timedelta(seconds=31))
        thief.post(SECOND_STEP, {"code": code})
        assert SESSION_KEY not in thief.session

        thief.post(SECOND_STEP, {"code": code_of(secret)})
        assert SESSION_KEY in thief.session


def test_a_secret_that_was_not_used_within_an_hour_is_not_shown_again(person: User) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        browser = Browser()
        browser.force_login(person)
        first = secret_in(browser.get(APP))
        clock.shift(timedelta(minutes=59))
        browser.force_login(person)
        assert secret_in(browser.get(APP)) == first
        clock.shift(timedelta(minutes=2))
        browser.force_login(person)

        second = secret_in(browser.get(APP))

        assert second != first
        browser.post(APP, {"code": code_of(first)})
        assert factor_types(person) == set()


def test_adding_a_factor_ends_the_other_sessions(person: User) -> None:
    elsewhere = Browser()
    sign_in(elsewhere, person.email)
    assert elsewhere.get(INDEX).status_code == 200
    here = Browser()
    sign_in(here, person.email)

    here.post(APP, {"code": code_of(secret_in(here.get(APP)))})

    assert elsewhere.get(INDEX).status_code == 302
    assert here.get(INDEX).status_code == 200


# --- Removing


def test_removing_the_last_factor_says_which_teams_close_and_takes_the_codes_with_it(
    browser: Browser, person: User
) -> None:
    strict: Team = make_team("Larkspur Labs")
    strict.requires_mfa = True
    strict.save()
    Membership.objects.create(team=strict, user=person)
    add_app(person)
    add_key(person)
    factors.make_codes(hand=hand(person, browser.session.session_key))
    key = Authenticator.objects.get(type="webauthn")
    page = browser.get(f"/account/security/keys/{key.pk}/remove/").content.decode()
    assert "Larkspur Labs asks" not in page
    assert "your last second factor" not in page
    browser.post(f"/account/security/keys/{key.pk}/remove/")
    assert factor_types(person) == {"totp", "recovery_codes"}

    page = browser.get("/account/security/app/remove/").content.decode()
    assert "It is your last second factor." in page
    assert "Larkspur Labs requires a second factor. You cannot open it" in page
    browser.post("/account/security/app/remove/")

    assert factor_types(person) == set()
    assert not is_verified_now(browser)
    assert "Larkspur Labs requires a second factor." in browser.get(INDEX).content.decode()
    assert mail.outbox[-1].subject == "A second factor was removed from your account at Console"


def is_verified_now(client: Client) -> bool:
    """Ask the admin, which opens to staff who passed a factor."""
    return client.get("/admin/", follow=True).status_code == 200


def test_removing_twice_is_removing_once(browser: Browser, person: User) -> None:
    add_app(person)

    answers = [browser.post("/account/security/app/remove/") for _ in range(2)]

    assert [answer.headers["Location"] for answer in answers] == [INDEX, INDEX]
    assert operations(person).count("RemoveSecondFactor") == 1


# --- The page


def test_the_page_costs_the_same_for_many_keys_as_for_one(
    browser: Browser, person: User, django_assert_num_queries: Any
) -> None:
    add_key(person)
    browser.get(INDEX)
    with CaptureQueriesContext(connection) as one:
        browser.get(INDEX)
    count = len(one)
    for number in range(10):
        add_key(person, f"Key {number}")

    with django_assert_num_queries(count):
        browser.get(INDEX)


def test_names_are_shown_as_they_are(browser: Browser, person: User) -> None:
    add_key(person, "<script>alert(1)</script>")

    page = browser.get(INDEX).content.decode()

    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page
