"""What goes wrong on the way to a provider and back signs nobody in, and says what to do."""

from threading import Event

import pytest
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.contrib.auth import SESSION_KEY
from django.test import Client
from django.urls import reverse
from pytest_django import Settings
from pytest_django.asserts import assertRedirects

from accounts.models import User
from console import providers
from tests.accounts.people import make_person, sign_in
from tests.accounts.social import X, agree, come_back, issuer_settings, leave
from tests.providers.oauth import OAuthServer, oauth_server

ME = "/2/users/me"
TOKEN = "/2/oauth2/token"


@pytest.mark.django_db
@pytest.mark.usefixtures("x")
def test_what_was_begun_in_another_browser_is_refused(client: Client) -> None:
    """Or Eve could have Alice sign in to Eve's account without noticing, and fill it."""
    eves = agree(leave(Client(), X))

    page = client.get(eves)

    assert page.status_code == 400
    assert "Start again" in page.content.decode()
    assert SESSION_KEY not in client.session
    assert not User.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("query", ["", "?code=1", "?state=1&code=1", "?state=&error=x"])
@pytest.mark.usefixtures("x")
def test_an_answer_nobody_asked_for_is_refused(client: Client, query: str) -> None:
    leave(client, X)

    page = client.get(reverse("social_callback", args=[X]) + query)

    assert page.status_code == 400
    assert "Start again" in page.content.decode()


@pytest.mark.django_db
@pytest.mark.usefixtures("x")
def test_an_answer_works_once(client: Client) -> None:
    answer = agree(leave(client, X))
    client.get(answer)
    client.post(reverse("account_logout"))

    assert client.get(answer).status_code == 400
    assert SESSION_KEY not in client.session


@pytest.mark.django_db
@pytest.mark.usefixtures("x")
def test_the_session_gets_a_new_key(client: Client) -> None:
    leave(client, X)
    before = client.session.session_key

    come_back(client, X)

    assert client.session.session_key != before


@pytest.mark.django_db
def test_who_denies_at_the_provider_is_told_that_nothing_happened(
    client: Client, x: OAuthServer
) -> None:
    x.denies = True

    page = client.get(agree(leave(client, X)), follow=True)

    assert "You came back without signing in" in page.content.decode()
    assert reverse("account_login") in page.content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize("path", [TOKEN, ME])
@pytest.mark.parametrize(
    "failure", [500, 404, "not JSON", "[]", "null", '"text"', "{}", '{"data": {"id": 7}}']
)
def test_a_provider_that_answers_nonsense_signs_nobody_in(
    client: Client, x: OAuthServer, path: str, failure: int | str
) -> None:
    x.broken[path] = failure

    page = come_back(client, X)

    assert page.status_code == 502
    assert "Nothing was changed" in page.content.decode()
    assert SESSION_KEY not in client.session
    assert not User.objects.exists()


@pytest.mark.django_db
def test_a_provider_that_does_not_answer_is_given_up_on(
    client: Client, x: OAuthServer, settings: Settings
) -> None:
    settings.SOCIALACCOUNT_REQUESTS_TIMEOUT = 0.2
    x.broken[TOKEN] = Event()

    page = come_back(client, X)

    assert page.status_code == 502
    assert "X does not answer" in page.content.decode()


@pytest.mark.django_db
def test_an_issuer_that_is_down_is_said_to_be(client: Client, settings: Settings) -> None:
    settings.SOCIALACCOUNT_PROVIDERS = issuer_settings("http://127.0.0.1:9")

    page = client.post(reverse("social_begin", args=["127.0.0.1:9"]))

    assert page.status_code == 502
    assert "Larkspur does not answer" in page.content.decode()


@pytest.mark.django_db
def test_an_issuer_cannot_speak_for_another(client: Client, settings: Settings) -> None:
    with oauth_server() as server:
        settings.SOCIALACCOUNT_PROVIDERS = issuer_settings(server.url)
        server.broken["/.well-known/openid-configuration"] = (
            '{"issuer": "https://login.example.test", "authorization_endpoint": "https://a.test/",'
            ' "token_endpoint": "https://a.test/", "userinfo_endpoint": "https://a.test/"}'
        )

        page = client.post(reverse("social_begin", args=[providers.issuer_id(server.url)]))

    assert page.status_code == 502
    assert "Larkspur refused" in page.content.decode()


@pytest.mark.django_db
@pytest.mark.usefixtures("x")
def test_a_closed_account_opens_to_nobody(client: Client) -> None:
    come_back(client, X)
    User.objects.update(is_active=False)
    again = Client()

    assertRedirects(come_back(again, X), reverse("account_inactive"))

    assert SESSION_KEY not in again.session


@pytest.mark.django_db
@pytest.mark.usefixtures("x")
def test_a_second_factor_is_asked_for_after_the_provider(client: Client) -> None:
    come_back(client, X)
    TOTP.activate(User.objects.get(), generate_totp_secret())
    again = Client()

    assertRedirects(come_back(again, X), reverse("mfa_authenticate"))

    assert SESSION_KEY not in again.session


@pytest.mark.django_db
@pytest.mark.usefixtures("x")
def test_a_flood_of_begun_sign_ins_is_turned_away(client: Client) -> None:
    answers = [client.post(reverse("social_begin", args=[X])) for _ in range(31)]

    assert answers[-1].status_code == 429


@pytest.mark.django_db
@pytest.mark.usefixtures("x")
def test_signing_in_with_a_password_is_not_disturbed(client: Client) -> None:
    person = make_person()

    sign_in(client, person.email)

    person.refresh_from_db()
    assert person.password_used_at is not None
