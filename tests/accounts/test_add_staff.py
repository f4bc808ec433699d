"""Staff, from the command that makes them to the admin: a password, then a code, each code once."""

import re
from io import StringIO
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import time_machine
from allauth.mfa.totp.internal.auth import (
    format_hotp_value,
    hotp_value,
    yield_hotp_counters_from_time,
)
from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from accounts import services as accounts
from accounts.models import User
from audit import services as audit
from tests.accounts.people import make_person, sign_in
from tests.factories import NOON

pytestmark = pytest.mark.django_db
EMAIL = "sam@example.test"
FACTOR = "/accounts/factor/"


def add_staff(email: str = EMAIL) -> dict[str, str]:
    """Run the command as a script does, and read what it prints."""
    out = StringIO()
    call_command("add_staff", email, name="Sam Support", stdout=out)
    said = dict(line.split(": ", 1) for line in out.getvalue().splitlines() if ": " in line)
    return {
        "password": said["Password"],
        "url": said["For an authenticator app"],
        "secret": said["The same, to type in"],
        "recovery_codes": said["Recovery codes, each for one sign-in"],
    }


def code_of(secret: str) -> str:
    return str(format_hotp_value(hotp_value(secret, next(yield_hotp_counters_from_time()))))


def test_the_command_makes_a_confirmed_superuser_and_says_so_in_the_log() -> None:
    said = add_staff()

    staff = User.objects.get(email=EMAIL)
    assert (staff.is_staff, staff.is_superuser, staff.name) == (True, True, "Sam Support")
    address = urlsplit(said["url"])
    assert (address.scheme, address.netloc, address.path) == ("otpauth", "totp", f"/{quote(EMAIL)}")
    assert parse_qs(address.query) == {"secret": [said["secret"]], "issuer": ["Console"]}
    assert re.fullmatch(r"(\d{8} ){9}\d{8}", said["recovery_codes"])
    [event] = [e for e in audit.log(accounts.personal_team(staff)) if e.operation == "AddStaff"]
    assert event.after == {"email": EMAIL, "is_staff": True, "is_superuser": True}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nobody"], "'nobody' is not an email address."),
        (["sam@example.test", "--name", "x" * 81], "A name has at most 80 characters."),
    ],
)
def test_the_command_refuses_what_is_no_account(arguments: list[str], sentence: str) -> None:
    with pytest.raises(CommandError, match=re.escape(sentence)):
        call_command("add_staff", *arguments)

    assert not User.objects.exists()


def test_the_command_does_not_raise_an_account_that_a_customer_has() -> None:
    person = make_person()

    with pytest.raises(CommandError, match="has an account already"):
        call_command("add_staff", person.email.upper())

    person.refresh_from_db()
    assert not person.is_staff


def test_a_password_and_a_code_open_the_admin(client: Client) -> None:
    assert not settings.DEBUG
    said = add_staff()

    with time_machine.travel(NOON, tick=False):
        answer = sign_in(client, EMAIL, said["password"], next="/admin/")
        assert answer.headers["Location"] == reverse("mfa_authenticate") == FACTOR
        page = client.get(FACTOR)
        assert "Second step" in page.content.decode()
        assert "<script>" not in page.content.decode()
        assert SESSION_KEY not in client.session

        passed = client.post(FACTOR, {"code": code_of(said["secret"])})

        assert passed.headers["Location"] == "/admin/"
        assert client.get("/admin/").status_code == 200


def test_a_recovery_code_opens_it_too_but_once(client: Client) -> None:
    said = add_staff()
    code = said["recovery_codes"].split()[0]
    sign_in(client, EMAIL, said["password"])
    client.post(FACTOR, {"code": code})
    assert client.get("/admin/").status_code == 200
    thief = Client()
    sign_in(thief, EMAIL, said["password"])

    page = thief.post(FACTOR, {"code": code})

    assert "The code is not right, or it was used already." in page.content.decode()
    assert SESSION_KEY not in thief.session


def test_a_code_that_was_used_opens_nothing_again(client: Client) -> None:
    said = add_staff()

    with time_machine.travel(NOON, tick=False):
        code = code_of(said["secret"])
        sign_in(client, EMAIL, said["password"])
        client.post(FACTOR, {"code": code})
        assert SESSION_KEY in client.session
        thief = Client()
        sign_in(thief, EMAIL, said["password"])

        page = thief.post(FACTOR, {"code": code})

    assert "The code is not right, or it was used already." in page.content.decode()
    assert SESSION_KEY not in thief.session


@pytest.mark.parametrize("shift", [-1, 1, 7])
def test_a_wrong_code_opens_nothing(client: Client, shift: int) -> None:
    said = add_staff()

    with time_machine.travel(NOON, tick=False):
        wrong = (int(code_of(said["secret"])) + shift) % 1_000_000
        sign_in(client, EMAIL, said["password"])
        page = client.post(FACTOR, {"code": f"{wrong:06}"})

    assert "The code is not right" in page.content.decode()
    assert SESSION_KEY not in client.session


def test_codes_cannot_be_tried_without_end(client: Client) -> None:
    said = add_staff()
    sign_in(client, EMAIL, said["password"])

    pages = [client.post(FACTOR, {"code": f"{n:06}x"}).content.decode() for n in range(12)]

    assert "Too many wrong codes. Try again in five minutes." in pages[-1]


def test_the_second_step_can_be_left_for_the_first(client: Client) -> None:
    said = add_staff()
    sign_in(client, EMAIL, said["password"])

    page = client.post(reverse("account_logout"), follow=True)

    assert "Sign in to" in page.content.decode()
    assert client.get(FACTOR).headers["Location"] == reverse("account_login")
