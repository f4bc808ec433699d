"""Mail about sign-ins: which are told, what it says, and how device and place are named."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from django.core import mail
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from accounts import services as accounts
from accounts import tasks
from accounts.actors import UNKNOWN_IP
from accounts.models import SignIn, User
from accounts.places import place_of
from accounts.user_agents import device_of
from audit import services as audit
from tests.accounts.people import make_person, sign_in
from tests.clients import Browser
from tests.factories import NOON

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:{}.0) Gecko/20100101 Firefox/{}.0"
CHROME = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36"
    " (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
)
ANDROID = (
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Chrome/142.0.0.0 Mobile Safari/537.36"
)
LONDON, OTHER_LONDON, CALIFORNIA, HOME = "81.2.69.142", "81.2.69.160", "8.8.8.8", "192.168.0.7"
SETTING = "/account/security/mail/"


def come(person: User, user_agent: str = FIREFOX.format(142, 142), ip: str = LONDON) -> list[str]:
    """Sign in from somewhere, and return the subjects of the mails that tell of it."""
    mail.outbox.clear()
    client = Client(headers={"User-Agent": user_agent}, REMOTE_ADDR=ip)
    sign_in(client, person.email)
    assert "sessionid" in client.cookies
    return [str(message.subject) for message in mail.outbox]


@pytest.mark.django_db
def test_the_first_sign_in_is_not_told_and_neither_is_one_like_it(person: User) -> None:
    assert come(person) == []
    assert come(person) == []
    assert come(person, FIREFOX.format(145, 145), OTHER_LONDON) == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("user_agent", "ip", "subject"),
    [
        (CHROME, LONDON, "New sign-in to Console: Chrome on macOS, United Kingdom"),
        (
            FIREFOX.format(1, 1),
            CALIFORNIA,
            "New sign-in to Console: Firefox on Linux, United States",
        ),
        ("", LONDON, "New sign-in to Console: Unknown device, United Kingdom"),
    ],
)
def test_a_new_device_or_place_is_told_once(
    person: User, user_agent: str, ip: str, subject: str
) -> None:
    come(person)

    assert come(person, user_agent, ip) == [subject]
    assert come(person, user_agent, ip) == []


@pytest.mark.django_db
def test_a_place_that_is_not_known_is_not_new(person: User) -> None:
    come(person)

    assert come(person, ip=HOME) == []


@pytest.mark.django_db
def test_a_device_that_was_not_used_for_half_a_year_is_new_and_its_rows_are_gone(
    person: User,
) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        come(person)
        clock.shift(timedelta(days=90))
        come(person, CHROME)
        clock.shift(timedelta(days=91))

        assert len(come(person)) == 1

        tasks.forget_sign_ins(timestamp=0)

    assert SignIn.objects.filter(user=person).count() == 2


@pytest.mark.django_db
def test_somebody_elses_devices_are_not_ones_own(person: User) -> None:
    come(person)
    come(make_person(), CHROME, CALIFORNIA)

    assert len(come(person, CHROME)) == 1


@pytest.mark.django_db
def test_the_mail_says_when_and_where_and_what_to_do(person: User) -> None:
    come(person)
    with time_machine.travel(NOON, tick=False):
        come(person, CHROME)

    message = mail.outbox[0]
    assert isinstance(message, mail.EmailMultiAlternatives)
    html = str(message.alternatives[0][0])

    assert message.to == [person.email]
    for text in (str(message.body), html):
        assert "1 Mar 2026, 12:00 UTC" in text
        assert "Chrome on macOS" in text
        assert f"United Kingdom ({LONDON})" in text
        assert "approximation" in text
        for page in ("account_reset_password", "accounts:sessions", "mfa_index"):
            assert f"http://localhost:8000{reverse(page)}" in text
        assert "signs in with a password" in text
    assert "prefers-color-scheme: dark" in html


@pytest.mark.django_db
def test_links_do_not_follow_the_host_that_was_asked(person: User, settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    come(person)
    client = Client(headers={"User-Agent": CHROME, "Host": "evil.test"})

    sign_in(client, person.email)

    assert mail.outbox
    assert "evil.test" not in str(mail.outbox[-1].message())


@pytest.mark.django_db
def test_a_sign_in_that_fails_is_not_told(person: User) -> None:
    come(person)
    mail.outbox.clear()

    sign_in(Client(headers={"User-Agent": CHROME}), person.email, "not-the-password")

    assert mail.outbox == []
    assert SignIn.objects.count() == 1


@pytest.mark.django_db
def test_who_wants_to_is_told_each_time(person: User) -> None:
    browser = Browser()
    browser.force_login(person)

    browser.post(SETTING, {"sign_in_mail": "each"})

    assert len(come(person)) == 1  # The first one, too.
    assert len(come(person)) == 1
    event = next(
        e for e in audit.log(accounts.personal_team(person)) if e.operation == "SetSignInMail"
    )
    assert (event.before, event.after) == (
        {"mail": "From a new device or place"},
        {"mail": "On each sign-in"},
    )

    browser.post(SETTING, {"sign_in_mail": "never"})
    person.refresh_from_db()
    assert person.sign_in_mail == "each"


# --- Names


@pytest.mark.parametrize(
    ("user_agent", "device"),
    [
        (FIREFOX.format(142, 142), "Firefox on Linux"),
        (CHROME, "Chrome on macOS"),
        (f"{CHROME} Edg/142.0.0.0", "Edge on macOS"),
        (ANDROID, "Chrome on Android"),
        ("curl/8.5.0", "curl"),
        ("Mozilla/5.0 (Windows NT 10.0)", "Unknown browser on Windows"),
        ("", "Unknown device"),
        ("\x00<script>", "Unknown device"),
        ("Mozilla/5.0 " + "x" * 100_000, "Unknown device"),
    ],
)
def test_devices_have_plain_names(user_agent: str, device: str) -> None:
    assert device_of(user_agent) == device


@pytest.mark.parametrize(
    ("ip", "place"),
    [
        (LONDON, "United Kingdom"),
        ("2001:4860:4860::8888", "United States"),
        ("127.0.0.1", ""),
        ("10.0.0.1", ""),
        ("fe80::1", ""),
        ("100.64.0.1", ""),
        ("203.0.113.7", ""),
        (UNKNOWN_IP, ""),
        ("", ""),
        (None, ""),
        ("unknown", ""),
    ],
)
def test_places_are_named_where_they_are_known(ip: str | None, place: str) -> None:
    assert place_of(ip) == place


def test_a_file_that_is_no_database_is_no_place(settings: Settings, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mmdb"
    broken.write_bytes(b"nothing")
    settings.GEOIP_PATH = str(broken)

    assert place_of(LONDON) == ""


def test_the_page_offers_both_choices(client: Client, db: None) -> None:  # noqa: ARG001
    client.force_login(make_person())

    page = client.get("/account/security/").content.decode()

    assert re.search(r'value="new"[^>]*checked', page)
    assert "On each sign-in" in page
