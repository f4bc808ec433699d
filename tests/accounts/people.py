"""What the tests of accounts share: people with a confirmed address, and the mails they get."""

import re
from itertools import count
from typing import Any
from urllib.parse import urlsplit

from django.core import mail
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from accounts import services as accounts
from accounts.models import User
from tests.factories import NOON, PASSWORD

_serial = count(1)


def make_person(name: str = "Alice Larkspur", **fields: bool) -> User:
    """Make someone who can sign in by the page at once."""
    email = f"alice-{next(_serial)}@example.test"
    return accounts.add_person(email=email, password=PASSWORD, name=name, now=NOON, **fields)


def sign_in(client: Client, email: str, password: str = PASSWORD, **extra: str) -> HttpResponse:
    return client.post(reverse("account_login"), {"login": email, "password": password, **extra})  # type: ignore[return-value]


def sign_up(client: Client, email: str, password: str = PASSWORD, **extra: str) -> HttpResponse:
    form = {"name": "Alice Larkspur", "email": email, "password1": password, **extra}
    return client.post(reverse("account_signup"), form)  # type: ignore[return-value]


def text_of(page: Any) -> str:
    """Read a page without the CSRF tokens, which differ each time."""
    return re.sub(r"[0-9A-Za-z]{64}", "token", page.content.decode())


def last_mail() -> mail.EmailMessage:
    return mail.outbox[-1]


def path_in(message: mail.EmailMessage) -> str:
    """Find the first link of a mail and return where it leads on this site."""
    found = re.search(r"^https?://\S+$", str(message.body), re.MULTILINE)
    assert found, message.body
    return urlsplit(found[0]).path
