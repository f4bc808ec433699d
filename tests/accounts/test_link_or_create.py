"""A social account whose address has an account here: the person is asked which it shall be."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
import time_machine
from allauth.account.models import EmailAddress
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from allauth.socialaccount.models import SocialAccount
from django.contrib.auth import SESSION_KEY
from django.core import mail
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings
from pytest_django.asserts import assertRedirects

from accounts import services as accounts
from accounts.models import User
from audit import services as audit
from console import providers
from tests.accounts.people import last_mail, path_in, sign_in, sign_up, text_of
from tests.accounts.social import X, come_back, issuer_settings, jack, x_settings
from tests.clients import Browser
from tests.factories import PASSWORD
from tests.providers.issuer import Issuer, issuer
from tests.providers.oauth import OAuthServer

LANDING = "/team/default/"
QUESTION = "/accounts/new/"
LINK = "/account/methods/link/"
METHODS = "/account/methods/"
TO_LINK = f"/accounts/login/?next={LINK}"


@pytest.fixture
def x(x: OAuthServer, person: User) -> OAuthServer:
    """Be an X in which somebody has confirmed the address of `person`."""
    x.people = jack(confirmed_email=person.email.upper())
    return x


@pytest.fixture(scope="module")
def larkspur() -> Iterator[Issuer]:
    with issuer() as running:
        yield running


def ways(user: User) -> list[str]:
    return accounts.names_of(accounts.methods_of(user))


def begin_to_link(client: Client) -> None:
    come_back(client, X)
    assertRedirects(client.post(QUESTION, {"choice": "link"}), TO_LINK)


@pytest.mark.django_db
@pytest.mark.usefixtures("x")
def test_the_question_is_asked_and_until_it_is_answered_nothing_happens(
    client: Client, person: User
) -> None:
    assertRedirects(come_back(client, X), QUESTION)

    page = text_of(client.get(QUESTION))

    assert "You already have an account" in page
    assert "It signs in with a password." in page
    assert person.email in page
    assert SESSION_KEY not in client.session
    assert not SocialAccount.objects.exists()
    assert mail.outbox == []


@pytest.mark.django_db
@pytest.mark.usefixtures("x")
def test_linking_asks_for_a_sign_in_names_both_and_then_both_open_the_account(
    client: Client, person: User
) -> None:
    begin_to_link(client)
    assert "You are then asked to link X to it" in text_of(client.get(TO_LINK))
    # A sign-in alone links nothing.
    assertRedirects(
        client.post(TO_LINK, {"login": person.email, "password": PASSWORD}),
        LINK,
        fetch_redirect_response=False,
    )
    page = text_of(client.get(LINK))
    assert "@jack" in page
    assert person.email in page
    assert ways(person) == ["Password"]

    assertRedirects(client.post(LINK, {"answer": "link"}), METHODS)

    assert ways(person) == ["Password", "X as @jack"]
    assert User.objects.count() == 1
    again = Client()
    assertRedirects(come_back(again, X), LANDING, fetch_redirect_response=False)
    assert again.session[SESSION_KEY] == str(person.pk)
    event = next(
        e for e in audit.log(accounts.personal_team(person)) if e.operation == "AddSignInMethod"
    )
    assert event.before == {"sign_in_methods": ["Password"]}
    assert event.after == {"sign_in_methods": ["Password", "X as @jack"]}
    assert "X as @jack signs in to your account" in last_mail().subject


@pytest.mark.django_db
@pytest.mark.usefixtures("x")
def test_creating_makes_a_separate_account_with_the_same_address(
    client: Client, person: User
) -> None:
    come_back(client, X)

    answer = client.post(QUESTION, {"name": "Jack L.", "email": "eve@example.test"})

    assertRedirects(answer, LANDING, fetch_redirect_response=False)
    created = User.objects.get(pk=client.session[SESSION_KEY])
    assert created != person
    assert (created.name, created.email) == ("Jack L.", person.email)
    assert not created.has_usable_password()
    assert EmailAddress.objects.get(user=created).verified
    assert ways(created) == ["X as @jack"]
    assert ways(person) == ["Password"]
    assert accounts.personal_team(created) != accounts.personal_team(person)
    assert [m.team for m in accounts.teams_of(created)] == [accounts.personal_team(created)]
    # And the password still opens the other one.
    other = Client()
    sign_in(other, person.email)
    assert other.session[SESSION_KEY] == str(person.pk)


@pytest.mark.django_db
@pytest.mark.usefixtures("x")
def test_who_signs_in_and_keeps_them_apart_has_linked_nothing(client: Client, person: User) -> None:
    begin_to_link(client)
    sign_in(client, person.email)

    assertRedirects(client.post(LINK, {"answer": "keep"}), METHODS)

    assert ways(person) == ["Password"]
    assertRedirects(client.post(LINK, {"answer": "link"}), METHODS)
    assert ways(person) == ["Password"]


@pytest.mark.django_db
@pytest.mark.usefixtures("x")
def test_without_a_sign_in_there_is_nothing_to_confirm(client: Client) -> None:
    begin_to_link(client)

    for answer in (client.get(LINK), client.post(LINK, {"answer": "link"})):
        assert answer.headers["Location"].startswith(reverse("account_login"))
    assert not SocialAccount.objects.exists()


@pytest.mark.django_db
@pytest.mark.usefixtures("x")
def test_the_second_factor_of_the_account_comes_first(client: Client, person: User) -> None:
    TOTP.activate(person, generate_totp_secret())
    begin_to_link(client)

    answer = client.post(TO_LINK, {"login": person.email, "password": PASSWORD})

    assertRedirects(answer, reverse("mfa_authenticate"))
    client.post(LINK, {"answer": "link"})
    assert not SocialAccount.objects.exists()


@pytest.mark.django_db
@pytest.mark.usefixtures("x")
def test_who_has_to_reset_the_password_on_the_way_is_asked_all_the_same(
    client: Client, person: User
) -> None:
    begin_to_link(client)
    client.post(reverse("account_reset_password"), {"email": person.email})
    form = client.get(path_in(last_mail()), follow=True)

    answer = client.post(form.request["PATH_INFO"], {"password1": "quite-another-1"})

    assertRedirects(answer, LINK, fetch_redirect_response=False)


@pytest.mark.django_db
def test_an_account_that_signs_in_by_another_provider_can_be_linked_too(
    client: Client, x: OAuthServer, settings: Settings, larkspur: Issuer
) -> None:
    settings.SOCIALACCOUNT_PROVIDERS = x_settings(x) | issuer_settings(larkspur.url)
    oidc = providers.issuer_id(larkspur.url)
    larkspur.knows("ada", email="ada@example.test", email_verified=True)
    come_back(Client(), oidc, "ada")
    x.people = jack(confirmed_email="ada@example.test")
    come_back(client, X)
    assert "It signs in with Larkspur." in text_of(client.get(QUESTION))
    client.post(QUESTION, {"choice": "link"})

    answer = come_back(client, oidc, "ada", next=LINK)

    assertRedirects(answer, LINK, fetch_redirect_response=False)
    client.post(LINK, {"answer": "link"})
    ada = User.objects.get(email="ada@example.test")
    assert ways(ada) == ["Larkspur as ada@example.test", "X as @jack"]


@pytest.mark.django_db
@pytest.mark.usefixtures("x")
def test_the_proof_has_to_be_recent(client: Browser, person: User) -> None:
    begin_to_link(client)
    kept = client.session["social_link"]
    client.force_login(person, age=16 * 60)
    session = client.session
    session["social_link"] = kept
    session.save()

    answer = client.post(LINK, {"answer": "link"})

    assert answer.headers["Location"].startswith(reverse("account_reauthenticate"))
    assert ways(person) == ["Password"]


@pytest.mark.django_db
@pytest.mark.usefixtures("x")
def test_after_an_hour_it_has_to_be_begun_again(client: Client, person: User) -> None:
    begin_to_link(client)

    with time_machine.travel(timezone.now() + timedelta(minutes=61)):
        assertRedirects(sign_in(client, person.email), LANDING, fetch_redirect_response=False)
        assertRedirects(client.get(LINK), METHODS)

    another = Client()
    come_back(another, X)
    with time_machine.travel(timezone.now() + timedelta(minutes=61)):
        assertRedirects(another.get(QUESTION), reverse("account_login"))


@pytest.mark.django_db
@pytest.mark.usefixtures("x")
def test_what_is_linked_meanwhile_elsewhere_cannot_be_linked_again(
    client: Client, person: User
) -> None:
    begin_to_link(client)
    sign_in(client, person.email)
    elsewhere = Client()
    come_back(elsewhere, X)
    elsewhere.post(QUESTION, {"name": "Jack"})

    page = client.post(LINK, {"answer": "link"}, follow=True)

    assert "X as @jack signs in to another account here." in page.content.decode()
    assert ways(person) == ["Password"]


@pytest.mark.django_db
@pytest.mark.usefixtures("person", "x")
def test_creating_twice_makes_one_account(client: Client) -> None:
    come_back(client, X)
    session = dict(client.session)
    client.post(QUESTION, {"name": "Jack"})
    again = Client()
    again.get(reverse("account_login"))
    store = again.session
    store.update(session)
    store.save()
    again.cookies["sessionid"] = str(store.session_key)

    answer = again.post(QUESTION, {"name": "Jack"})

    assertRedirects(answer, reverse("account_login"))
    assert User.objects.count() == 2


@pytest.mark.django_db
def test_an_unconfirmed_address_gets_no_question_whether_or_not_it_has_an_account(
    settings: Settings, person: User, larkspur: Issuer
) -> None:
    settings.SOCIALACCOUNT_PROVIDERS = issuer_settings(larkspur.url)
    oidc = providers.issuer_id(larkspur.url)
    larkspur.knows("eve", email=person.email, email_verified=False, name="Eve")
    larkspur.knows("mallory", email="nobody@example.test", email_verified=False, name="Eve")
    one, other = Client(), Client()

    for browser, sub in ((one, "eve"), (other, "mallory")):
        assertRedirects(come_back(browser, oidc, sub), QUESTION)

    known, unknown = text_of(one.get(QUESTION)), text_of(other.get(QUESTION))
    assert known.replace(person.email, "nobody@example.test") == unknown
    assert one.post(QUESTION, {"choice": "link"}).status_code == 200
    for browser, email in ((one, person.email), (other, "nobody@example.test")):
        answer = browser.post(QUESTION, {"name": "Eve", "email": email})
        assertRedirects(answer, "/accounts/confirm-email/")
    assert ways(person) == ["Password"]
    # Both are mailed the same, and the mail says that it is not about the account one has.
    bodies = [str(message.body) for message in mail.outbox[-2:]]
    assert "signs in with Larkspur as" in bodies[0]
    assert "or Password" not in bodies[0]


@pytest.mark.django_db
@pytest.mark.usefixtures("x")
def test_a_provider_never_signs_in_to_an_account_because_of_its_address(
    client: Client, person: User
) -> None:
    come_back(client, X)

    assert SESSION_KEY not in client.session
    assert ways(person) == ["Password"]


@pytest.mark.django_db
def test_whoever_signed_up_with_a_strangers_address_gains_nothing(
    client: Client, x: OAuthServer
) -> None:
    """Not confirmed, it is nobody's: the owner of the address is not asked to link to it."""
    eve = Client()
    sign_up(eve, "jack@example.test", password="known-to-eve-1")
    x.people = jack(confirmed_email="jack@example.test")

    assertRedirects(come_back(client, X), LANDING, fetch_redirect_response=False)

    owner = User.objects.get(pk=client.session[SESSION_KEY])
    assert not owner.has_usable_password()
    sign_in(eve, "jack@example.test", "known-to-eve-1")
    assert SESSION_KEY not in eve.session


@pytest.mark.django_db
@pytest.mark.usefixtures("x")
def test_a_form_from_elsewhere_links_nothing(person: User) -> None:
    strict = Browser(enforce_csrf_checks=True)
    strict.force_login(person)

    assert strict.post(LINK, {"answer": "link"}).status_code == 403
    assert strict.post(QUESTION, {"choice": "link"}).status_code == 403
