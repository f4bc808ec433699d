"""The mails of accounts: each of allauth's is ours, in text and HTML, and none is left bare."""

from pathlib import Path
from typing import Any

import allauth
import pytest
from allauth.account.adapter import get_adapter
from django.conf import settings
from django.core import mail
from django.template.loader import get_template
from django.utils import timezone

from tests.accounts.people import make_person

# Of ways that are not switched on: codes by mail, several addresses.
NEVER_SENT = {
    "account/email/email_confirm",
    "account/email/email_deleted",
    "account/email/login_code",
    "account/email/password_reset_code",
}
OWN = {"accounts/email/password_removed", "accounts/email/email_change_undone"}


def of_allauth() -> set[str]:
    folder = Path(allauth.__file__).parent / "templates"
    subjects = folder.glob("*/email/*_subject.txt")
    return {str(path.relative_to(folder)).removesuffix("_subject.txt") for path in subjects}


@pytest.mark.django_db
@pytest.mark.parametrize("name", sorted((of_allauth() - NEVER_SENT) | OWN))
def test_every_mail_is_ours_in_text_and_html_and_says_which_account(name: str) -> None:
    for part in ("subject.txt", "message.txt", "message.html"):
        found = get_template(f"{name}_{part}").origin.name  # type: ignore[attr-defined]
        assert Path(found).is_relative_to(settings.BASE_DIR / "templates"), found
    person = make_person("Ada & Bob")
    context: dict[str, Any] = {
        "user": person,
        "timestamp": timezone.now(),
        "ip": "203.0.113.7",
        "user_agent": "Larkspur/1",
        "method": "X as @jack",
        "from_email": person.email,
        "to_email": "new@example.test",
        "activate_url": "https://console.test/confirm/",
        "password_reset_url": "https://console.test/reset/",
        "undo_url": "https://console.test/undo/",
    }

    get_adapter().send_mail(name, person.email, context)

    message = mail.outbox[-1]
    assert isinstance(message, mail.EmailMultiAlternatives)
    text, html = str(message.body), str(message.alternatives[0][0])
    assert message.subject
    assert "\n" not in message.subject
    assert "about the account of Ada & Bob that signs in with a password." in text
    assert "about the account of Ada &amp; Bob that signs in with a password." in html
    assert "prefers-color-scheme: dark" in html
    assert settings.SUPPORT_EMAIL in text
    # Nothing was forgotten to be filled in, and nothing came out in markup.
    for body in (text, html):
        assert "None" not in body
        assert "{{" not in body
    assert "&amp;" not in text
    assert "<" not in text
