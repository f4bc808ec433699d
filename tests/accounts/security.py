"""What the tests of second factors share: the pages, and what they show."""

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

from allauth.mfa.models import Authenticator
from django.test import Client

from accounts import services as accounts
from accounts.actors import Actor
from accounts.models import User
from accounts.services import factors
from audit import services as audit
from tests.accounts.people import sign_in
from tests.clients import Browser
from tests.factories import NOON

INDEX = "/account/security/"
APP = "/account/security/app/add/"
CODES = "/account/security/codes/"
FILE = "/account/security/codes/file/"
MAKE = "/account/security/codes/make/"
SECOND_STEP = "/accounts/factor/"
PROVE = "/account/security/prove/"


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


def hand(person: User, session_key: str | None = None) -> factors.Hand:
    return factors.Hand(
        user=person, session_key=session_key, actor=Actor.for_user(person), now=NOON
    )
