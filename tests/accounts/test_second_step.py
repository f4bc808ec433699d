"""The second step of signing in: codes that work once, no guessing, and trusted browsers."""

from datetime import timedelta

import pytest
import time_machine
from django.contrib.auth import SESSION_KEY
from django.core import mail
from django.core.cache import cache
from django.urls import reverse

from accounts.models import User
from accounts.services import factors
from tests.accounts.authenticators import add_app, add_key, code_of
from tests.accounts.people import make_person, sign_in
from tests.accounts.security import (
    PROVE,
    SECOND_STEP,
    at_the_second_step,
    hand,
    is_verified,
    operations,
    recovery_codes,
)
from tests.clients import Browser
from tests.factories import NOON, PASSWORD
from tests.races import race

pytestmark = pytest.mark.django_db


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
