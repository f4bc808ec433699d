"""What the tests of changed emails share: asking, following the links, and what came of it."""

import re
from typing import Any

from allauth.account.models import EmailAddress
from django.core import mail
from django.test import Client

from accounts import services as accounts
from accounts.models import User
from audit import services as audit
from tests.accounts.people import path_in

EMAIL = "/account/email/"
NEW = "alice.new@example.test"


def mail_to(address: str) -> mail.EmailMessage:
    return next(message for message in reversed(mail.outbox) if message.to == [address])


def change(client: Client, email: str = NEW) -> None:
    """Ask for the change, and confirm it by the mailed link."""
    client.post(EMAIL, {"email": email})
    client.post(path_in(mail_to(email)))


def undo_path(message: mail.EmailMessage) -> str:
    found = re.search(r"/account/email/undo/\S+/", str(message.body))
    assert found, message.body
    return found[0]


def addresses(user: User) -> list[tuple[str, bool]]:
    rows = EmailAddress.objects.filter(user=user).order_by("pk")
    return list(rows.values_list("email", "verified"))


def event(user: User, operation: str) -> Any:
    log = audit.log(accounts.personal_team(user))
    return next(e for e in log if e.operation == operation)
