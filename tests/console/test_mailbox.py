"""Kept mails: readable on a page with DEBUG, and without it the page does not exist."""

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.mail import EmailMultiAlternatives
from django.core.mail.backends.filebased import EmailBackend
from django.test import Client
from django.urls import clear_url_caches
from pytest_django import Settings

from console import urls
from tests.accounts.people import sign_up

LINK = "http://localhost:8000/accounts/confirm-email/abc:1x/"


def reload_addresses() -> None:
    importlib.reload(urls)
    clear_url_caches()


@pytest.fixture
def kept(settings: Settings, tmp_path: Path) -> Iterator[Path]:
    """Run a console that was started with DEBUG and without EMAIL_URL; yield where mails lie."""
    settings.DEBUG = True
    settings.EMAIL_URL = ""
    settings.EMAIL_FILE_PATH = tmp_path / "mail"
    reload_addresses()
    yield tmp_path / "mail"
    settings.DEBUG = False
    reload_addresses()


def keep(folder: Path, *subjects: str) -> None:
    """Keep mails as the console does, all of them in one file."""
    mails = []
    for subject in subjects:
        mail = EmailMultiAlternatives(subject, f"Follow this link:\n\n{LINK}", to=["a@b.test"])
        mail.attach_alternative(f"<h1>{subject}</h1><a href='{LINK}'>Confirm</a>", "text/html")
        mails.append(mail)
    EmailBackend(file_path=str(folder)).send_messages(mails)


def test_every_kept_mail_is_listed_and_its_links_can_be_followed(
    client: Client, kept: Path
) -> None:
    keep(kept, "First", "Zweite für dich")
    keep(kept, "Third")

    page = client.get("/mail/").content.decode()

    for subject in ("First", "Zweite für dich", "Third"):
        assert subject in page
    file = next(kept.iterdir()).stem
    mail = client.get(f"/mail/{file}-0/").content.decode()
    assert f'href="{LINK}"' in mail


def test_the_html_of_a_mail_is_shown_where_no_script_runs(client: Client, kept: Path) -> None:
    keep(kept, "First")
    file = next(kept.iterdir()).stem

    answer = client.get(f"/mail/{file}-0/html/")

    assert "<h1>First</h1>" in answer.content.decode()
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert "script-src" not in answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "asked", ["..", "../secret", "%2e%2e%2fsecret", "..%2Fsecret-0", "/etc/passwd", "nothing-0"]
)
def test_nothing_but_kept_mails_can_be_read(client: Client, kept: Path, asked: str) -> None:
    keep(kept, "First")
    (kept.parent / "secret.log").write_text("Subject: secret\n\nsecret")

    answer = client.get(f"/mail/{asked}/")

    assert answer.status_code == 404
    assert b"secret\n" not in answer.content


def test_an_empty_mailbox_says_what_comes_there(client: Client, kept: Path) -> None:
    assert not kept.exists()

    assert "No mail yet" in client.get("/mail/").content.decode()


@pytest.mark.django_db
@pytest.mark.usefixtures("kept")
def test_the_page_after_signing_up_leads_to_the_mailbox(client: Client) -> None:
    sign_up(client, "alice@example.test")

    assert 'href="/mail/"' in client.get("/accounts/confirm-email/").content.decode()
    assert 'href="/mail/"' in client.get("/accounts/password/reset/done/").content.decode()


@pytest.mark.django_db
def test_without_debug_the_mailbox_does_not_exist_and_nothing_leads_there(
    client: Client, settings: Settings
) -> None:
    settings.DEBUG = False
    reload_addresses()

    assert client.get("/mail/").status_code == 404
    assert client.get("/mail/anything/html/").status_code == 404
    assert "/mail/" not in client.get("/accounts/confirm-email/").content.decode()


@pytest.mark.usefixtures("kept")
def test_turning_debug_off_closes_the_mailbox_even_where_it_is_routed(
    client: Client, settings: Settings
) -> None:
    settings.DEBUG = False

    assert client.get("/mail/").status_code == 404


def test_a_console_with_a_mail_server_has_no_mailbox(client: Client, settings: Settings) -> None:
    settings.DEBUG = True
    settings.EMAIL_URL = "smtp://mail.example.test"
    reload_addresses()

    assert client.get("/mail/").status_code == 404
