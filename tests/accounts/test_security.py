"""Second factors: setting up, codes that work once, codes that cannot be guessed, and removing."""

import base64
import re
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from django.contrib.auth import SESSION_KEY
from django.core import mail
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts import services as accounts
from accounts.actors import Actor
from accounts.models import Membership, Team, User
from accounts.services import factors
from audit import services as audit
from tests.accounts.authenticators import add_app, add_key, code_of, factor_types
from tests.accounts.people import make_person, sign_in
from tests.clients import Browser
from tests.factories import NOON, PASSWORD, make_team
from tests.races import race

INDEX = "/account/security/"
APP = "/account/security/app/add/"
CODES = "/account/security/codes/"
FILE = "/account/security/codes/file/"
MAKE = "/account/security/codes/make/"
SECOND_STEP = "/accounts/factor/"
PROVE = "/account/security/prove/"

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(person: User) -> Browser:
    browser = Browser()
    browser.force_login(person)
    return browser


def secret_in(page: Any) -> str:
    text = page.content.decode().replace("&amp;", "&")
    found = re.search(r'href="(otpauth://[^"]*)"', text)
    assert found
    return parse_qs(urlsplit(found[1]).query)["secret"][0]


def recovery_codes(user: User) -> list[str]:
    row = Authenticator.objects.get(user=user, type="recovery_codes")
    return row.wrap().get_unused_codes()  # type: ignore[no-any-return]


def at_the_second_step(person: User) -> Browser:
    browser = Browser()
    sign_in(browser, person.email)
    return browser


def is_verified(client: Client) -> bool:
    """Say whether the session counts as one with a second factor."""
    return "otp_device_id" in client.session


def operations(person: User) -> list[str]:
    return [event.operation for event in audit.log(accounts.personal_team(person))]


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


# --- Codes of an app


@pytest.mark.parametrize(
    ("ahead", "opens"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)]
)
def test_a_clock_may_be_half_a_minute_off(person: User, ahead: int, opens: bool) -> None:  # noqa: FBT001
    with time_machine.travel(NOON, tick=False):
        secret = add_app(person)
        client = at_the_second_step(person)

        client.post(SECOND_STEP, {"code": code_of(secret, ahead)})

        assert (SESSION_KEY in client.session) is opens
        assert is_verified(client) is opens


@pytest.mark.parametrize("seconds", [0, 20, 40, 59])
def test_a_code_that_was_used_opens_nothing_for_as_long_as_it_counts(
    person: User, seconds: int
) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        secret = add_app(person)
        code = code_of(secret, ahead=1)
        at_the_second_step(person).post(SECOND_STEP, {"code": code})
        clock.shift(timedelta(seconds=seconds))
        cache.clear()  # Nor when the cache has forgotten it.
        thief = at_the_second_step(person)

        for again in (code, f"{code[:3]} {code[3:]}", f" {code}"):
            thief.post(SECOND_STEP, {"code": again})

        assert SESSION_KEY not in thief.session


def test_an_older_code_opens_nothing_after_a_newer_one(person: User) -> None:
    with time_machine.travel(NOON, tick=False):
        secret = add_app(person)
        at_the_second_step(person).post(SECOND_STEP, {"code": code_of(secret, ahead=1)})
        late = at_the_second_step(person)

        late.post(SECOND_STEP, {"code": code_of(secret)})

        assert SESSION_KEY not in late.session


@pytest.mark.django_db(transaction=True)
def test_a_code_used_in_two_requests_at_once_opens_one(person: User) -> None:
    secret = add_app(person)
    code = code_of(secret)

    opened = race(*[lambda: factors.use_code(person, code) is not None] * 4)

    assert (opened.count(True), opened.count(False)) == (1, 3)


@pytest.mark.django_db(transaction=True)
def test_a_recovery_code_used_in_two_requests_at_once_opens_one(person: User) -> None:
    add_key(person)
    factors.make_codes(hand=hand(person))
    code = recovery_codes(person)[0]

    opened = race(*[lambda: factors.use_code(person, code) is not None] * 4)

    assert (opened.count(True), opened.count(False)) == (1, 3)
    assert len(recovery_codes(person)) == 9


def hand(person: User, session_key: str | None = None) -> factors.Hand:
    return factors.Hand(
        user=person, session_key=session_key, actor=Actor.for_user(person), now=NOON
    )


# --- A sign-in that waits for its second step


@pytest.mark.parametrize("what", ["password", "closed", "gone"])
def test_a_sign_in_that_waits_ends_with_what_it_began_with(person: User, what: str) -> None:
    secret = add_app(person)
    halfway, owner = at_the_second_step(person), Browser()
    match what:
        case "password":
            owner.force_login(person)
            new = {"oldpassword": PASSWORD, "password1": "kangaroo-violin-basalt"}
            assert owner.post(reverse("account_change_password"), new).status_code == 302
        case "closed":
            User.objects.filter(pk=person.pk).update(is_active=False)
        case "gone":
            person.set_unusable_password()
            person.save()
    operations_before = operations(person)

    answer = halfway.post(SECOND_STEP, {"code": code_of(secret)}, follow=True)

    assert SESSION_KEY not in halfway.session
    assert answer.redirect_chain == [(reverse("account_login"), 302)]
    assert "The account has changed since you began to sign in." in answer.content.decode()
    assert operations(person) == operations_before
    # The code was not even looked at, and the next sign-in starts afresh.
    assert factors.use_code(person, code_of(secret))


# --- Guessing


def test_codes_cannot_be_guessed_from_many_places_and_the_person_is_told_once(
    person: User,
) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        secret = add_app(person)
        mail.outbox.clear()
        pages = []
        for number in range(9):  # Each from another address, as another visitor.
            thief = Browser(REMOTE_ADDR=f"203.0.113.{number}")
            sign_in(thief, person.email)
            pages.append(thief.post(SECOND_STEP, {"code": f"00000{number}x"}).content.decode())
        assert "Too many wrong codes. Try again in five minutes." in pages[-1]
        told = [m for m in mail.outbox if m.subject == "Wrong codes for your account at Console"]
        assert [m.to for m in told] == [[person.email]]

        owner = at_the_second_step(person)
        owner.post(SECOND_STEP, {"code": code_of(secret)})
        assert SESSION_KEY not in owner.session

        clock.shift(timedelta(minutes=5, seconds=1))
        owner.post(SECOND_STEP, {"code": code_of(secret)})
        assert SESSION_KEY in owner.session


def test_guessing_at_one_door_counts_at_the_others(person: User) -> None:
    add_app(person)
    inside = Browser()
    inside.force_login(person, age=3600)
    for number in range(5):
        inside.post(PROVE, {"code": f"00000{number}x"})
    outside = at_the_second_step(person)

    page = outside.post(SECOND_STEP, {"code": "000000x"})

    assert "Too many wrong codes." in page.content.decode()


@pytest.mark.parametrize(
    "code", ["", " ", "x" * 100_000, "\uff11\uff12\uff13\uff14\uff15\uff16", "\x00", "-1", "1e5"]
)
def test_nonsense_is_no_code(person: User, code: str) -> None:
    add_app(person)
    client = at_the_second_step(person)

    page = client.post(SECOND_STEP, {"code": code})

    assert page.status_code == 200
    assert SESSION_KEY not in client.session


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


# --- Trusted browsers


def test_a_trusted_browser_skips_the_second_step_but_is_not_verified(person: User) -> None:
    secret = add_app(person)
    client = at_the_second_step(person)
    client.post(SECOND_STEP, {"code": code_of(secret), "trust": "1"})
    cookie = client.cookies["mfa_trusted"]
    assert (cookie["httponly"], cookie["samesite"], cookie["max-age"]) == (True, "Lax", 30 * 86400)
    client.post(reverse("account_logout"))

    sign_in(client, person.email)

    assert SESSION_KEY in client.session
    assert not is_verified(client)


@pytest.mark.parametrize("what", ["forgotten", "password", "factor", "time"])
def test_a_browser_is_trusted_until(person: User, what: str) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        secret = add_app(person)
        client = at_the_second_step(person)
        client.post(SECOND_STEP, {"code": code_of(secret), "trust": "1"})
        match what:
            case "forgotten":
                client.post("/account/security/browsers/forget/")
            case "password":
                person.set_password(PASSWORD)
                person.save()
            case "factor":
                add_key(person)
            case "time":
                clock.shift(timedelta(days=30, seconds=1))
        client.post(reverse("account_logout"))

        answer = sign_in(client, person.email)

        assert answer.headers["Location"] == SECOND_STEP


def test_nobody_trusts_a_browser_for_another_account(person: User) -> None:
    secret, other = add_app(person), make_person()
    add_app(other)
    client = at_the_second_step(person)
    client.post(SECOND_STEP, {"code": code_of(secret), "trust": "1"})
    client.post(reverse("account_logout"))

    assert sign_in(client, other.email).headers["Location"] == SECOND_STEP


def test_forgetting_browsers_leaves_the_codes_and_the_keys_working(person: User) -> None:
    secret = add_app(person)
    add_key(person)
    factors.make_codes(hand=hand(person))
    codes = recovery_codes(person)

    factors.forget_browsers(hand=hand(person))

    assert recovery_codes(person) == codes
    assert factors.use_code(person, code_of(secret)) is not None
    assert "ForgetTrustedBrowsers" in operations(person)


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
