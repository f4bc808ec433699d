"""The mails of accounts: each is ours, in text and HTML, and says which account it is about."""

import re
from pathlib import Path
from typing import Any

import allauth
import pytest
from allauth.account.adapter import get_adapter
from allauth.core import context as allauth_context
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.conf import settings as console
from django.core import mail
from django.core.mail import EmailMultiAlternatives
from django.test import RequestFactory
from pytest_django import Settings

from accounts.actors import Actor
from accounts.models import Invitation, Membership, SignIn, Team, User
from accounts.services.factors import ALONE
from api_keys.models import ApiKey, KeyAddress, KeyLeak
from billing.models import Invoice, Purchase, TopUpRule
from billing.services import TierStanding, TopUpStanding, balance
from gateway.models import InferenceModel, LimitRequest
from gateway.rates import Limits
from tests.accounts.people import make_person
from tests.factories import NOON, make_team
from usage.models import UsageAlert, UsageExport

TEMPLATES = console.BASE_DIR / "templates"
# Of ways that are not switched on: codes by mail, several addresses. And of allauth's pages of
# second factors, which are not among our addresses: services.factors mails what ours do.
NEVER_SENT = {
    "account/email/email_confirm",
    "account/email/email_deleted",
    "account/email/login_code",
    "account/email/password_reset_code",
    "mfa/email/recovery_codes_generated",
    "mfa/email/totp_activated",
    "mfa/email/totp_deactivated",
    "mfa/email/webauthn_added",
    "mfa/email/webauthn_removed",
}
# To addresses of which nobody knows which account they are of.
ABOUT_NO_ACCOUNT = {
    "account/email/unknown_account",
    "accounts/email/invitation",
    "gateway/email/limit_request",  # To support.
}
# To whoever sees to a team's money, by whichever account; `billing.services.mails` names none.
ABOUT_A_TEAM = "billing/email/"
# Where a secret was found is told, and nobody is led there.
FOUND_AT = "https://github.com/larkspur/site/blob/main/settings.py"


def mails_in(folder: Path) -> set[str]:
    subjects = folder.glob("*/email/*_subject.txt")
    return {str(path.relative_to(folder)).removesuffix("_subject.txt") for path in subjects}


OURS = mails_in(TEMPLATES)


def test_each_mail_that_allauth_can_send_is_ours_and_none_is_left_that_nobody_sends() -> None:
    of_allauth = mails_in(Path(allauth.__file__).parent / "templates")

    assert of_allauth - NEVER_SENT <= OURS
    assert not NEVER_SENT & OURS
    apps = ("accounts", "api_keys", "billing", "gateway", "usage")
    folders = [console.BASE_DIR / app for app in apps]
    sources = "".join(path.read_text() for folder in folders for path in folder.rglob("*.py"))
    for name in OURS - of_allauth:
        assert Path(name).name in sources, name


def every_word(person: User, team: Team) -> dict[str, Any]:
    """Give what any mail may say. What is missing shows as a gap, which the test looks for."""
    colleague = Actor.for_user(make_person("Chris & Co"))
    return {
        "user": person,
        "timestamp": NOON,
        "ip": "203.0.113.7",
        "user_agent": "Larkspur/1",
        "method": "X as @jack",
        "factor": "Passkey Laptop",
        "from_email": "old@example.test",
        "to_email": "new@example.test",
        "activate_url": f"{console.PUBLIC_URL}/confirm/",
        "password_reset_url": f"{console.PUBLIC_URL}/reset/",
        "undo_url": f"{console.PUBLIC_URL}/undo/",
        "undo_days": 7,
        "sign_in_url": f"{console.PUBLIC_URL}/in/",
        "reset_url": f"{console.PUBLIC_URL}/reset/",
        "erased_from": NOON,
        "sign_in": SignIn(user=person, at=NOON, ip="203.0.113.7", device="Firefox on Linux"),
        "team": team,
        "actor": colleague,
        "inviter": colleague.label,
        "invitation": Invitation(team=team, email=person.email, role=Membership.Role.ADMIN),
        "days": 7,
        "membership": Membership(team=team, user=person),
        "link": f"{console.PUBLIC_URL}/invitation/",
        "limit_request": LimitRequest(
            team=team,
            model=InferenceModel(name="atlas"),
            requests_per_second=300,
        ),
        "reason": "More & more people come.",
        "limits": Limits(requests_per_second=150),
        "standing": TierStanding(paid_ticks=0, least_tier=0),
        "grant_url": f"{console.PUBLIC_URL}/grant/",
        "key": ApiKey(team=team, name="Bot & Co", redacted="ck-…4f9a", expires_at=NOON),
        "leak": KeyLeak(
            redacted="ck-…4f9a", reporter="github", source="commit", url=FOUND_AT, reported_at=NOON
        ),
        "is_blocked": True,
        "address": KeyAddress(ip="203.0.113.7", country="Germany", first_used_at=NOON),
        "month": NOON.date(),
        "resets_on": NOON.date(),
        "balance": balance(team, now=NOON),
        "purchase": Purchase(
            team=team,
            buyer=person,
            amount_cents=25_000,
            tax_cents=4_750,
            transfer_reference="BCDF-2345",
            lapses_at=NOON,
        ),
        "account": ["Example & Co", "IBAN DE89 3704 0044 0532 0130 00"],
        "top_up": TopUpStanding(
            TopUpRule(amount_cents=5_000, month_max_cents=10_000, stopped_by="card_declined"),
            month_cents=8_000,
            resets_on=NOON.date(),
            today=4,
            free_at=None,
            last_at=NOON,
        ),
        "most_a_day": 5,
        "invoice": Invoice(
            team=team, series_id="M", number=7, kind="month", month=NOON.date(), total_cents=2_380
        ),
        "next_try_at": NOON,
        "alert": UsageAlert(team=team, owner=person, per="day", limit_ticks=10**11),
        "what": "The API key Bot & Co",
        "span": "on 1 Mar 2026",
        "zone": "Europe/Berlin",
        "cost_ticks": 2 * 10**11,
        "explorer": "/usage/",
        "is_owner": True,
        "export": UsageExport(rows_done=12_345),
    }


def send(name: str, person: User, context: dict[str, Any]) -> tuple[str, str, str]:
    """Send a mail as if a page of another host had asked for it; return subject, text, HTML."""
    asked = RequestFactory().get("/", headers={"Host": "evil.example"})
    with allauth_context.request_context(asked):
        get_adapter().send_mail(name, person.email, context)
    message = mail.outbox[-1]
    assert isinstance(message, EmailMultiAlternatives)
    return str(message.subject), str(message.body), str(message.alternatives[0][0])


@pytest.mark.django_db
@pytest.mark.parametrize("name", sorted(OURS))
def test_every_mail_is_whole_in_text_and_html_and_says_which_account(
    name: str, settings: Settings
) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    settings.PUBLIC_URL = "https://console.test"
    person = make_person("Ada & Bob")
    context = every_word(person, make_team("R & D"))
    is_about_none = name in ABOUT_NO_ACCOUNT or name.startswith(ABOUT_A_TEAM)
    if is_about_none:
        del context["user"]
    settings.TEMPLATES = strict(settings.TEMPLATES)

    subject, text, html = send(name, person, context)

    assert subject
    assert "\n" not in subject
    if is_about_none:
        assert "about the account" not in text + html
    else:
        assert "about the account of Ada & Bob that signs in with a password." in text
        assert "about the account of Ada &amp; Bob that signs in with a password." in html
    assert '<meta name="color-scheme" content="light dark">' in html
    assert "prefers-color-scheme: dark" in html
    for body in (text, html):
        assert settings.PUBLIC_URL in body
        assert settings.SUPPORT_EMAIL in body
        # Nothing was forgotten to be filled in.
        assert "None" not in body
        assert "GAP" not in body
        assert "{{" not in body
        # Each link leads to us, whatever host the request named.
        assert "evil.example" not in body
        assert f'href="{FOUND_AT}' not in body
        led = body.replace(FOUND_AT, "")
        assert {*re.findall(r"https?://[^/\s\"<]+", led)} == {settings.PUBLIC_URL}
    assert "GAP" not in subject
    # What is text is not in markup.
    for plain in (subject, text):
        assert "&amp;" not in plain
        assert "<" not in plain


def strict(templates: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Let what a mail names and nobody gave it show."""
    (engine,) = templates
    options = engine["OPTIONS"] | {"string_if_invalid": "GAP"}
    return [engine | {"OPTIONS": options}]


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["mfa/email/codes_guessed", "mfa/email/factor_removed"])
def test_who_has_no_password_is_not_told_to_reset_it(name: str) -> None:
    person = make_person()
    context = every_word(person, make_team())
    assert "eset your password" in "".join(send(name, person, context))
    person.set_unusable_password()
    person.save()
    SocialAccount.objects.create(user=person, provider="github", uid="7")

    told = "".join(send(name, person, context))

    assert "eset your password" not in told
    assert "signs in with GitHub." in told


@pytest.mark.django_db
def test_a_passkey_that_signs_in_alone_is_named_among_the_sign_in_methods() -> None:
    person = make_person()
    for alone in (False, True):
        Authenticator.objects.create(
            user=person, type=Authenticator.Type.WEBAUTHN, data={"name": "Laptop", ALONE: alone}
        )
        ways = "a password or a passkey." if alone else "a password."

        _, text, _ = send("account/email/password_changed", person, every_word(person, make_team()))

        assert f"signs in with {ways}" in text
