"""Attacks on accounts that must fail: forms from elsewhere, planted sessions, frames, cookies."""

import os
import subprocess
import sys
from typing import Any

import pytest
from django.contrib.auth import SESSION_KEY
from django.test import Client
from django.urls import reverse

from accounts.models import User
from tests.accounts.authenticators import add_app, add_key, code_of
from tests.accounts.people import make_person, sign_in
from tests.clients import Browser
from tests.console.pages import OTHERS, Page
from tests.servers import ROOT

ACCOUNTS = [page for page in OTHERS if page.route.startswith(("/account/", "/accounts/"))]
# Pages that hold or take secrets.
GRAVE = [
    "/account/",
    "/account/methods/",
    "/account/security/",
    "/account/security/app/add/",
    "/account/security/keys/add/",
    "/account/security/prove/",
    "/account/sessions/",
]


@pytest.mark.django_db
@pytest.mark.parametrize("page", ACCOUNTS, ids=[page.route for page in ACCOUNTS])
def test_no_form_from_elsewhere_is_taken(page: Page) -> None:
    member, visitor = Browser(enforce_csrf_checks=True), Client(enforce_csrf_checks=True)
    member.force_login(make_person())

    for client in (member, visitor):
        answer = client.post(page.path(), {"name": "x"}, headers={"Origin": "https://evil.test"})
        # Refused; or sent to sign in, or told that nothing takes a form here.
        assert answer.status_code in {302, 403, 405}
        if answer.status_code == 302:
            assert answer.headers["Location"].startswith(reverse("account_login"))


@pytest.mark.django_db
@pytest.mark.parametrize("way", ["password", "code"])
def test_a_session_that_was_planted_is_not_the_one_that_opens(way: str) -> None:
    person, browser = make_person(), Browser()
    secret = add_app(person) if way == "code" else ""
    browser.get(reverse("account_login"))
    session = browser.session
    session["planted"] = True
    session.save()
    browser.cookies["sessionid"] = planted = session.session_key or ""

    sign_in(browser, person.email)
    if secret:
        browser.post("/accounts/factor/", {"code": code_of(secret)})

    assert SESSION_KEY in browser.session
    assert browser.session.session_key != planted
    thief = Client()
    thief.cookies["sessionid"] = planted
    assert thief.get("/account/").status_code == 302


@pytest.mark.django_db
def test_the_second_step_cannot_be_walked_around() -> None:
    person, client = make_person(), Client()
    add_app(person)
    add_key(person)
    sign_in(client, person.email)

    for page in (*GRAVE, "/team/default/", "/admin/", "/account/security/codes/"):
        assert SESSION_KEY not in client.session
        answer = client.get(page)
        assert answer.status_code == 302
        assert answer.headers["Location"].startswith((reverse("account_login"), "/admin/login/"))


@pytest.mark.django_db
def test_a_halfway_sign_in_does_not_become_somebody_elses() -> None:
    victim, thief, client = make_person(), make_person(), Client()
    add_app(victim)
    secret = add_app(thief)
    sign_in(client, thief.email)
    client.post(reverse("account_logout"))
    sign_in(client, victim.email)

    client.post("/accounts/factor/", {"code": code_of(secret)})

    assert SESSION_KEY not in client.session


@pytest.mark.django_db
@pytest.mark.parametrize("page", [*GRAVE, "/accounts/login/"])
def test_no_page_can_be_framed_or_runs_foreign_script(page: str) -> None:
    browser = Browser()
    if page != "/accounts/login/":
        browser.force_login(make_person())

    answer = browser.get(page, follow=True)

    policy = answer.headers["Content-Security-Policy"].split("; ")
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in policy
    assert "script-src 'self'" in policy
    assert "default-src 'none'" in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "<script>" not in answer.content.decode()
    assert "onclick" not in answer.content.decode()


@pytest.mark.django_db
def test_cookies_are_out_of_reach_of_scripts_and_other_sites() -> None:
    person, client = make_person(), Client()
    secret = add_app(person)
    sign_in(client, person.email)
    client.post("/accounts/factor/", {"code": code_of(secret), "trust": "1"})

    for name in ("sessionid", "mfa_trusted"):
        cookie = client.cookies[name]
        assert (cookie["httponly"], cookie["samesite"], cookie["domain"]) == (True, "Lax", "")


@pytest.mark.parametrize(
    ("public_url", "secure"), [("https://c.test", True), ("http://c.test", False)]
)
def test_cookies_travel_by_https_alone_where_the_console_does(
    public_url: str,
    secure: bool,  # noqa: FBT001
) -> None:
    source = (
        "from django.conf import settings as s; from allauth.mfa import app_settings as m;"
        "print(s.SESSION_COOKIE_SECURE, s.CSRF_COOKIE_SECURE, m.TRUST_COOKIE_SECURE,"
        " s.SESSION_COOKIE_HTTPONLY, s.SESSION_COOKIE_SAMESITE, s.SECURE_HSTS_SECONDS > 0)"
    )

    said = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "shell", "--no-imports", "-c", source],
        env=os.environ | {"PUBLIC_URL": public_url},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()

    assert said == [str(secure)] * 3 + ["True", "Lax", str(secure)]


@pytest.mark.django_db
def test_the_rights_of_staff_end_with_the_factor_that_opened_them() -> None:
    person: User = make_person(is_staff=True, is_superuser=True)
    secret, client = add_app(person), Client()
    sign_in(client, person.email)
    client.post("/accounts/factor/", {"code": code_of(secret)})
    assert client.get("/admin/").status_code == 200

    client.post("/account/security/app/remove/")

    assert client.get("/admin/", follow=True).status_code == 403


def test_the_settings_trust_no_other_origin_for_passkeys(settings: Any) -> None:
    # With it, allauth would take an answer that was given to any site.
    assert not getattr(settings, "MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN", False)
