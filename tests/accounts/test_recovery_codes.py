"""Recovery codes: shown once, downloaded, used once, and made anew."""

import pytest
from allauth.mfa.models import Authenticator
from django.contrib.auth import SESSION_KEY
from django.core import mail

from accounts.models import User
from accounts.services import factors
from tests.accounts.authenticators import add_key, code_of, factor_types
from tests.accounts.security import (
    APP,
    CODES,
    FILE,
    INDEX,
    MAKE,
    SECOND_STEP,
    at_the_second_step,
    hand,
    is_verified,
    recovery_codes,
    secret_in,
)
from tests.clients import Browser

pytestmark = pytest.mark.django_db


# --- Recovery codes


def test_recovery_codes_are_shown_once_and_downloaded_from_there(
    browser: Browser, person: User
) -> None:
    browser.post(APP, {"code": code_of(secret_in(browser.get(APP)))})
    codes = recovery_codes(person)

    for look in (browser.get, browser.head):
        assert look(CODES).status_code == 200
    before = browser.get(CODES)
    shown = browser.post(CODES)
    again = browser.post(CODES)
    file = browser.post(FILE, {"codes": " ".join(codes)})

    assert "There are 10 codes for you." in before.content.decode()
    assert not any(code in before.content.decode() for code in codes)
    assert all(code in shown.content.decode() for code in codes)
    assert "no-store" in shown.headers["Cache-Control"]
    assert not any(code in again.content.decode() for code in codes)
    assert "10 left" in again.content.decode()
    assert file.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert file.headers["Content-Disposition"] == 'attachment; filename="recovery-codes.txt"'
    assert file.content.decode().count("\n") > 10
    assert all(code in file.content.decode() for code in codes)


def test_who_was_not_shown_the_codes_gets_no_file(browser: Browser, person: User) -> None:
    browser.post(APP, {"code": code_of(secret_in(browser.get(APP)))})
    codes = recovery_codes(person)

    for guess in ("", codes[0], " ".join(codes[1:]), "<script>"):
        answer = browser.post(FILE, {"codes": guess})
        assert answer.status_code == 302


def test_a_recovery_code_signs_in_once_and_the_page_counts_what_is_left(person: User) -> None:
    add_key(person)
    factors.make_codes(hand=hand(person))
    code = recovery_codes(person)[4]
    client = at_the_second_step(person)

    client.post(SECOND_STEP, {"code": code})

    assert is_verified(client)
    assert "9 left" in client.get(INDEX).content.decode()
    thief = at_the_second_step(person)
    thief.post(SECOND_STEP, {"code": code})
    assert SESSION_KEY not in thief.session


def test_new_codes_end_the_old_ones_and_the_session_stays_verified(person: User) -> None:
    add_key(person)
    factors.make_codes(hand=hand(person))
    old = recovery_codes(person)
    client = at_the_second_step(person)
    client.post(SECOND_STEP, {"code": old[0]})

    answer = client.post(MAKE)

    assert answer.headers["Location"] == CODES
    assert not set(old) & set(recovery_codes(person))
    assert recovery_codes(person)[0] in client.post(CODES).content.decode()
    assert client.session["otp_device_id"].endswith(
        str(Authenticator.objects.get(type="recovery_codes").pk)
    )
    assert mail.outbox[-1].subject == "New recovery codes were made for your account at Console"
    thief = at_the_second_step(person)
    thief.post(SECOND_STEP, {"code": old[1]})
    assert SESSION_KEY not in thief.session


def test_without_a_factor_there_are_no_recovery_codes(browser: Browser, person: User) -> None:
    assert browser.get(CODES).headers["Location"] == INDEX
    assert browser.post(CODES).headers["Location"] == INDEX
    assert browser.get(MAKE).headers["Location"] == INDEX
    assert "Add one first." in browser.post(MAKE, follow=True).content.decode()
    assert factor_types(person) == set()
