"""Being asked again before something grave: by which pages, by which ways, and where it leads."""

from typing import Any
from urllib.parse import urlencode

import pytest
from allauth.socialaccount.models import SocialAccount
from django.test import Client
from django.urls import URLResolver, get_resolver, reverse
from pytest_django import Settings

from accounts.models import Team, User
from api_keys.models import ApiKey
from tests.accounts.people import sign_in
from tests.accounts.proving import HOUR, create_url, key_form, location, prove, query_of
from tests.accounts.security import PROVE
from tests.clients import Browser
from tests.factories import PASSWORD, make_team

pytestmark = pytest.mark.django_db


# --- What asks


def test_these_pages_ask_and_no_others() -> None:
    asking = {
        name for name, view in _views(get_resolver()) if getattr(view, "asks_for_proof", False)
    }

    assert asking == {
        "account_email",
        "account_set_password",
        "accounts:add_method",
        "accounts:data",
        "accounts:delete",
        "accounts:forget_browsers",
        "accounts:link",
        "accounts:remove_method",
        "accounts:sign_in_mail",
        "accounts_team:members_invite",
        "accounts_team:members_remove",
        "accounts_team:members_update",
        "accounts_team:settings_delete",
        "accounts_team:settings_mfa",
        "admin:accounts_user_delete_account",
        "admin:api_keys_apikey_report_leak",
        "admin:billing_purchase_arrived",
        "admin:billing_refund_make",
        "admin:billing_refund_settle",
        "api_keys:create",
        "api_keys:edit",
        "api_keys:rotate",
        "billing:add_method",
        "billing:charge",
        "billing:charge_invoice",
        "billing:invoice_now",
        "billing:remove_method",
        "billing:save_details",
        "billing:set_default_method",
        "billing:spending_limit",
        "billing:top_up",
        "mfa_activate_totp",
        "mfa_add_webauthn",
        "mfa_deactivate_totp",
        "mfa_download_recovery_codes",
        "mfa_edit_webauthn",
        "mfa_generate_recovery_codes",
        "mfa_remove_webauthn",
        "mfa_view_recovery_codes",
    }


def _views(resolver: URLResolver, namespace: str = "") -> list[tuple[str, Any]]:
    found = []
    for pattern in resolver.url_patterns:
        if isinstance(pattern, URLResolver):
            inner = f"{pattern.namespace}:" if pattern.namespace else namespace
            found += _views(pattern, inner)
        else:
            found.append((f"{namespace}{pattern.name}", pattern.callback))
    return found


@pytest.mark.parametrize(("age", "asks"), [(14 * 60, False), (16 * 60, True)])
def test_a_proof_counts_for_15_minutes(person: User, own: Team, age: int, asks: bool) -> None:  # noqa: FBT001
    browser = Browser()
    browser.force_login(person, age=age)

    answer = browser.post(create_url(own), key_form())

    assert (answer.status_code == 302) is asks
    assert ApiKey.of(own).exists() is not asks


def test_a_sign_in_is_a_proof(client: Client, person: User, own: Team) -> None:
    sign_in(client, person.email)

    assert client.post(create_url(own), key_form()).status_code == 200


def test_a_page_that_is_read_leads_back_to_itself(stale: Browser) -> None:
    asked = stale.get("/account/security/app/add/")
    assert location(asked).startswith(PROVE)

    assert prove(stale, asked).headers["Location"] == "/account/security/app/add/"


def test_a_stranger_of_the_team_is_not_asked_but_finds_nothing(stale: Browser) -> None:
    assert stale.post(create_url(make_team()), key_form()).status_code == 404


# --- Where it leads


@pytest.mark.parametrize(
    "elsewhere",
    ["https://evil.test/", "//evil.test/", "/\\evil.test/", "javascript:alert(1)", "evil", "\t//x"],
)
def test_the_proof_leads_nowhere_but_to_this_site(stale: Browser, elsewhere: str) -> None:
    answer = stale.post(f"{PROVE}?{_query(next=elsewhere)}", {"password": PASSWORD})

    assert answer.headers["Location"] == "/team/default/"


@pytest.mark.parametrize("header", ["Referer", "HX-Current-URL"])
def test_a_form_of_another_site_is_not_led_back_to(stale: Browser, own: Team, header: str) -> None:
    headers = {header: "https://evil.test/page/", "HX-Request": "true"}

    asked = stale.post(create_url(own), key_form(), headers=headers)

    assert query_of(asked)["next"] == "/team/default/"


def _query(**parameters: str) -> str:
    return urlencode(parameters)


# --- Ways to prove it


def test_each_account_is_offered_the_ways_that_it_has(
    stale: Browser, person: User, settings: Settings
) -> None:
    page = stale.get(PROVE).content.decode()
    assert "Confirm with password" in page
    assert "Confirm with code" not in page
    assert "Use passkey" not in page

    person.set_unusable_password()
    person.save()
    alone = Browser()
    alone.force_login(person, age=HOUR)
    page = alone.get(PROVE).content.decode()

    assert "Confirm with password" not in page
    assert "Sign out, sign in again" in page

    settings.SOCIALACCOUNT_PROVIDERS = {
        "github": {"APPS": [{"name": "GitHub", "client_id": "a", "secret": "b"}]}
    }
    SocialAccount.objects.create(user=person, provider="github", uid="7", extra_data={"name": "e"})
    page = alone.get(f"{PROVE}?next=/account/").content.decode()

    assert "Confirm with GitHub" in page
    assert 'name="process" value="redirect"' in page
    assert f'name="next" value="{PROVE}?next=/account/"' in page


def test_passwords_cannot_be_tried_without_end_by_who_found_a_session(stale: Browser) -> None:
    pages = [stale.post(PROVE, {"password": f"guess {n}"}).content.decode() for n in range(6)]

    assert "Too many wrong passwords." in pages[-1]
    assert "Too many wrong passwords." in stale.post(PROVE, {"password": PASSWORD}).content.decode()


def test_the_password_of_another_account_with_the_same_email_proves_nothing(
    person: User,
) -> None:
    other = User.objects.create_user(person.email, None)
    browser = Browser()
    browser.force_login(other, age=HOUR)

    browser.post(PROVE, {"password": PASSWORD})

    assert location(browser.get("/account/security/app/add/")).startswith(PROVE)


def test_a_visitor_proves_nothing(client: Client) -> None:
    answer = client.post(PROVE, {"password": PASSWORD})

    assert location(answer).startswith(reverse("account_login"))


def test_the_page_is_not_kept_by_the_browser_or_framed(stale: Browser) -> None:
    headers = stale.get(PROVE).headers

    assert "no-store" in headers["Cache-Control"]
    assert headers["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
