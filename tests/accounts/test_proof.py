"""Being asked again before something grave: what was sent is kept, and done once."""

from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit
from uuid import uuid4

import pytest
from allauth.socialaccount.models import SocialAccount
from django.core.cache import cache
from django.http import HttpResponse
from django.test import Client
from django.urls import URLResolver, get_resolver, reverse
from pytest_django import Settings

from accounts import services as accounts
from accounts.models import Team, User
from accounts.proof import KEPT, KEPT_AT_MOST, KEPT_CHARACTERS
from api_keys.models import ApiKey
from audit import services as audit
from tests.accounts.authenticators import add_key, factor_types
from tests.accounts.people import sign_in
from tests.clients import Browser
from tests.factories import PASSWORD, make_admin, make_team
from tests.races import race_behind

PROVE = "/account/security/prove/"
HOUR = 3600

pytestmark = pytest.mark.django_db


@pytest.fixture
def team(person: User) -> Team:
    return accounts.personal_team(person)


@pytest.fixture
def stale(person: User) -> Browser:
    """Open a browser in which the person signed in an hour ago."""
    browser = Browser()
    browser.force_login(person, age=HOUR)
    return browser


def create_url(team: Team) -> str:
    return reverse("api_keys:create", args=[team.pk])


def key_form(name: str = "kept") -> dict[str, str]:
    return {"name": name, "key_id": str(uuid4())}


def prove(browser: Client, asked: Any, password: str = PASSWORD) -> HttpResponse:
    """Give the password to the page that an answer leads to."""
    return browser.post(location(asked), {"password": password})  # type: ignore[return-value]


def location(answer: Any) -> str:
    return str(answer.headers.get("HX-Redirect") or answer.headers["Location"])


def query_of(answer: Any) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(location(answer)).query).items()}


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
        "api_keys:create",
        "billing:spending_limit",
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
def test_a_proof_counts_for_15_minutes(person: User, team: Team, age: int, asks: bool) -> None:  # noqa: FBT001
    browser = Browser()
    browser.force_login(person, age=age)

    answer = browser.post(create_url(team), key_form())

    assert (answer.status_code == 302) is asks
    assert ApiKey.of(team).exists() is not asks


def test_a_sign_in_is_a_proof(client: Client, person: User, team: Team) -> None:
    sign_in(client, person.email)

    assert client.post(create_url(team), key_form()).status_code == 200


def test_a_page_that_is_read_leads_back_to_itself(stale: Browser) -> None:
    asked = stale.get("/account/security/app/add/")
    assert location(asked).startswith(PROVE)

    assert prove(stale, asked).headers["Location"] == "/account/security/app/add/"


def test_a_stranger_of_the_team_is_not_asked_but_finds_nothing(stale: Browser) -> None:
    assert stale.post(create_url(make_team()), key_form()).status_code == 404


# --- What is kept


def test_what_was_sent_is_done_after_the_proof_and_shows_a_whole_page(
    stale: Browser, team: Team
) -> None:
    page = f"/team/{team.pk}/api-keys/"
    asked = stale.post(
        create_url(team),
        key_form("kept ünd <b>"),
        headers={
            "HX-Request": "true",
            "HX-Target": "api-keys",
            "HX-Current-URL": f"http://testserver{page}",
        },
    )
    assert asked.status_code == 200
    assert asked.content == b""
    assert query_of(asked)["next"] == page
    assert "It is made once you have confirmed" in stale.get(location(asked)).content.decode()
    assert not ApiKey.of(team).exists()

    proven = prove(stale, asked)
    made = stale.get(proven.headers["Location"])

    assert ApiKey.of(team).get().name == "kept ünd <b>"
    assert made.status_code == 200
    assert made.content.decode().lstrip().startswith("<!doctype html>")
    assert "Copy the secret of" in made.content.decode()
    assert "no-store" in made.headers["Cache-Control"]
    # The sidebar knows where it is.
    assert 'aria-current="page"' in made.content.decode()

    reloaded = stale.get(proven.headers["Location"])

    assert reloaded.headers["Location"] == page
    assert ApiKey.of(team).count() == 1


def test_a_form_without_script_is_kept_as_well_with_its_address(stale: Browser, team: Team) -> None:
    page = f"/team/{team.pk}/api-keys/?page=1"
    asked = stale.post(
        f"{create_url(team)}?a=b%20c&d=%2F",
        key_form(),
        headers={"Referer": f"http://testserver{page}"},
    )
    assert asked.status_code == 302
    assert query_of(asked)["next"] == page

    stale.get(prove(stale, asked).headers["Location"])

    assert ApiKey.of(team).count() == 1


def test_only_what_a_form_sent_is_kept(stale: Browser, person: User) -> None:
    add_key(person)
    make = reverse("mfa_generate_recovery_codes")

    for asked in (
        stale.head(make),
        stale.put(make, "a=b"),
        stale.delete(make),
        stale.options(make),
    ):
        assert "resume" not in query_of(asked)

    assert prove(stale, stale.head(make)).headers["Location"] == make
    assert KEPT not in stale.session
    assert factor_types(person) == {"webauthn"}


def test_a_wrong_password_proves_nothing_and_loses_nothing(stale: Browser, team: Team) -> None:
    asked = stale.post(create_url(team), key_form())

    page = prove(stale, asked, "wrong")

    assert "The password is not right." in page.content.decode()
    assert not ApiKey.of(team).exists()
    stale.get(prove(stale, asked).headers["Location"])
    assert ApiKey.of(team).count() == 1


def test_two_tabs_each_get_what_they_sent(stale: Browser, team: Team) -> None:
    first = stale.post(create_url(team), key_form("first"))
    second = stale.post(create_url(team), key_form("second"))

    stale.get(prove(stale, second).headers["Location"])
    # The other tab is reloaded: the proof was given, so it goes on by itself.
    stale.get(stale.get(location(first)).headers["Location"])

    assert set(ApiKey.of(team).values_list("name", flat=True)) == {"first", "second"}


def test_what_was_sent_cannot_be_sent_by_its_name_before_the_proof(
    stale: Browser, team: Team
) -> None:
    asked = stale.post(create_url(team), key_form())

    stale.get(f"{create_url(team)}?resume={query_of(asked)['resume']}")

    assert not ApiKey.of(team).exists()


def test_what_was_sent_is_done_for_its_sender_only(stale: Browser, team: Team) -> None:
    asked = stale.post(create_url(team), key_form())
    other = Browser()
    other.force_login(make_admin(team))

    answer = other.get(f"{create_url(team)}?resume={query_of(asked)['resume']}")

    assert answer.status_code == 302
    assert not ApiKey.of(team).exists()


def test_what_was_sent_is_not_done_elsewhere(stale: Browser, team: Team) -> None:
    asked = stale.post(create_url(team), key_form())
    prove(stale, asked)

    for url in (reverse("billing:spending_limit", args=[team.pk]), create_url(make_team())):
        stale.get(f"{url}?resume={query_of(asked)['resume']}")

    assert not ApiKey.of(team).exists()


def test_signing_out_forgets_what_was_sent(stale: Browser, person: User, team: Team) -> None:
    asked = stale.post(create_url(team), key_form())
    stale.post(reverse("account_logout"))
    sign_in(stale, person.email)

    stale.get(f"{create_url(team)}?resume={query_of(asked)['resume']}")

    assert not ApiKey.of(team).exists()


def test_what_was_sent_long_ago_is_not_done_any_more(stale: Browser, team: Team) -> None:
    asked = stale.post(create_url(team), key_form(), headers={"Referer": "http://testserver/x/"})
    session = stale.session
    session[KEPT] = {name: kept | {"at": kept["at"] - HOUR} for name, kept in session[KEPT].items()}
    session.save()

    assert prove(stale, asked).headers["Location"] == "/x/"
    assert not ApiKey.of(team).exists()


def test_a_session_keeps_only_so_much(stale: Browser, team: Team) -> None:
    for number in range(KEPT_AT_MOST + 3):
        stale.post(create_url(team), key_form(f"key {number}"))
    stale.post(create_url(team), key_form("x" * KEPT_CHARACTERS))

    kept = stale.session[KEPT]

    assert len(kept) == KEPT_AT_MOST
    assert "key+7" in list(kept.values())[-1]["post"]


@pytest.mark.django_db(transaction=True)
def test_two_requests_at_once_do_it_once(stale: Browser, person: User) -> None:
    add_key(person)
    asked = stale.post(reverse("mfa_generate_recovery_codes"))
    address = prove(stale, asked).headers["Location"]

    def resume() -> str:
        browser = Browser()
        browser.cookies = stale.cookies
        return browser.get(address).headers["Location"]

    # Whoever makes codes has to wait for this row.
    answers = race_behind(
        lambda: User.objects.select_for_update().get(pk=person.pk), resume, resume
    )

    assert set(answers) == {"/account/security/codes/", "/team/default/"}
    log = audit.log(accounts.personal_team(person))
    assert [event.operation for event in log].count("MakeRecoveryCodes") == 1


# --- What is not kept


def test_a_secret_is_asked_for_after_the_proof_and_never_kept(person: User) -> None:
    person.set_unusable_password()
    person.save()
    SocialAccount.objects.create(user=person, provider="github", uid="7", extra_data={"name": "e"})
    browser = Browser()
    browser.force_login(person, age=HOUR)
    page = reverse("account_set_password")
    assert location(browser.get(page)).startswith(PROVE)

    asked = browser.post(
        page,
        {"password1": "lanterns-over-the-quay", "password2": "lanterns-over-the-quay"},
        headers={"Referer": f"http://testserver{page}"},
    )

    assert query_of(asked) == {"next": page}
    assert "lanterns" not in str(dict(browser.session))
    assert "then fill in the form again." in browser.get(location(asked)).content.decode()


# --- Where it leads


@pytest.mark.parametrize(
    "elsewhere",
    ["https://evil.test/", "//evil.test/", "/\\evil.test/", "javascript:alert(1)", "evil", "\t//x"],
)
def test_the_proof_leads_nowhere_but_to_this_site(stale: Browser, elsewhere: str) -> None:
    answer = stale.post(f"{PROVE}?{_query(next=elsewhere)}", {"password": PASSWORD})

    assert answer.headers["Location"] == "/team/default/"


@pytest.mark.parametrize("header", ["Referer", "HX-Current-URL"])
def test_a_form_of_another_site_is_not_led_back_to(stale: Browser, team: Team, header: str) -> None:
    headers = {header: "https://evil.test/page/", "HX-Request": "true"}

    asked = stale.post(create_url(team), key_form(), headers=headers)

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


def test_the_cache_forgets_a_name_no_sooner_than_the_session(stale: Browser, team: Team) -> None:
    asked = stale.post(create_url(team), key_form())
    address = prove(stale, asked).headers["Location"]
    stale.get(address)

    assert cache.get(f"proof:{query_of(asked)['resume']}") == 1
