"""What was sent before the proof: it is kept, and done once after it."""

import pytest
from allauth.socialaccount.models import SocialAccount
from django.core.cache import cache
from django.urls import reverse

from accounts import services as accounts
from accounts.models import Team, User
from accounts.proof import KEPT, KEPT_AT_MOST, KEPT_CHARACTERS
from api_keys.models import ApiKey
from audit import services as audit
from tests.accounts.authenticators import add_key, factor_types
from tests.accounts.people import sign_in
from tests.accounts.proving import HOUR, create_url, key_form, location, prove, query_of
from tests.accounts.security import PROVE
from tests.clients import Browser
from tests.factories import make_admin, make_team
from tests.races import race_behind

pytestmark = pytest.mark.django_db


# --- What is kept


def test_what_was_sent_is_done_after_the_proof_and_shows_a_whole_page(
    stale: Browser, own: Team
) -> None:
    page = f"/team/{own.pk}/api-keys/"
    asked = stale.post(
        create_url(own),
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
    assert not ApiKey.of(own).exists()

    proven = prove(stale, asked)
    made = stale.get(proven.headers["Location"])

    assert ApiKey.of(own).get().name == "kept ünd <b>"
    assert made.status_code == 200
    assert made.content.decode().lstrip().startswith("<!doctype html>")
    assert "Copy the secret of" in made.content.decode()
    assert "no-store" in made.headers["Cache-Control"]
    # The sidebar knows where it is.
    assert 'aria-current="page"' in made.content.decode()

    reloaded = stale.get(proven.headers["Location"])

    assert reloaded.headers["Location"] == page
    assert ApiKey.of(own).count() == 1


def test_a_form_without_script_is_kept_as_well_with_its_address(stale: Browser, own: Team) -> None:
    page = f"/team/{own.pk}/api-keys/?page=1"
    asked = stale.post(
        f"{create_url(own)}?a=b%20c&d=%2F",
        key_form(),
        headers={"Referer": f"http://testserver{page}"},
    )
    assert asked.status_code == 302
    assert query_of(asked)["next"] == page

    stale.get(prove(stale, asked).headers["Location"])

    assert ApiKey.of(own).count() == 1


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


def test_a_wrong_password_proves_nothing_and_loses_nothing(stale: Browser, own: Team) -> None:
    asked = stale.post(create_url(own), key_form())

    page = prove(stale, asked, "wrong")

    assert "The password is not right." in page.content.decode()
    assert not ApiKey.of(own).exists()
    stale.get(prove(stale, asked).headers["Location"])
    assert ApiKey.of(own).count() == 1


def test_two_tabs_each_get_what_they_sent(stale: Browser, own: Team) -> None:
    first = stale.post(create_url(own), key_form("first"))
    second = stale.post(create_url(own), key_form("second"))

    stale.get(prove(stale, second).headers["Location"])
    # The other tab is reloaded: the proof was given, so it goes on by itself.
    stale.get(stale.get(location(first)).headers["Location"])

    assert set(ApiKey.of(own).values_list("name", flat=True)) == {"first", "second"}


def test_what_was_sent_cannot_be_sent_by_its_name_before_the_proof(
    stale: Browser, own: Team
) -> None:
    asked = stale.post(create_url(own), key_form())

    stale.get(f"{create_url(own)}?resume={query_of(asked)['resume']}")

    assert not ApiKey.of(own).exists()


def test_what_was_sent_is_done_for_its_sender_only(stale: Browser, own: Team) -> None:
    asked = stale.post(create_url(own), key_form())
    other = Browser()
    other.force_login(make_admin(own))

    answer = other.get(f"{create_url(own)}?resume={query_of(asked)['resume']}")

    assert answer.status_code == 302
    assert not ApiKey.of(own).exists()


def test_what_was_sent_is_not_done_elsewhere(stale: Browser, own: Team) -> None:
    asked = stale.post(create_url(own), key_form())
    prove(stale, asked)

    for url in (reverse("billing:spending_limit", args=[own.pk]), create_url(make_team())):
        stale.get(f"{url}?resume={query_of(asked)['resume']}")

    assert not ApiKey.of(own).exists()


def test_signing_out_forgets_what_was_sent(stale: Browser, person: User, own: Team) -> None:
    asked = stale.post(create_url(own), key_form())
    stale.post(reverse("account_logout"))
    sign_in(stale, person.email)

    stale.get(f"{create_url(own)}?resume={query_of(asked)['resume']}")

    assert not ApiKey.of(own).exists()


def test_what_was_sent_long_ago_is_not_done_any_more(stale: Browser, own: Team) -> None:
    asked = stale.post(create_url(own), key_form(), headers={"Referer": "http://testserver/x/"})
    session = stale.session
    session[KEPT] = {name: kept | {"at": kept["at"] - HOUR} for name, kept in session[KEPT].items()}
    session.save()

    assert prove(stale, asked).headers["Location"] == "/x/"
    assert not ApiKey.of(own).exists()


def test_a_session_keeps_only_so_much(stale: Browser, own: Team) -> None:
    for number in range(KEPT_AT_MOST + 3):
        stale.post(create_url(own), key_form(f"key {number}"))
    stale.post(create_url(own), key_form("x" * KEPT_CHARACTERS))

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


def test_the_cache_forgets_a_name_no_sooner_than_the_session(stale: Browser, own: Team) -> None:
    asked = stale.post(create_url(own), key_form())
    address = prove(stale, asked).headers["Location"]
    stale.get(address)

    assert cache.get(f"proof:{query_of(asked)['resume']}") == 1


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
