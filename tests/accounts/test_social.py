"""Signing in by an account elsewhere: X against its two endpoints, and a real OpenID provider."""

from collections.abc import Iterator

import pytest
from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from django.contrib.auth import SESSION_KEY
from django.core import mail
from django.test import Client
from django.urls import reverse
from pytest_django import Settings
from pytest_django.asserts import assertRedirects

from accounts import services as accounts
from accounts.models import User
from audit import services as audit
from console import providers
from tests.accounts.people import last_mail, make_person, path_in, text_of
from tests.accounts.social import (
    X,
    agree,
    come_back,
    issuer_settings,
    jack,
    leave,
)
from tests.clients import Browser
from tests.providers.issuer import Issuer, issuer
from tests.providers.oauth import CLIENT_ID, CLIENT_SECRET, OAuthServer, oauth_server

LANDING = "/team/default/"
ME = "/2/users/me"
TOKEN = "/2/oauth2/token"


@pytest.fixture(scope="module")
def larkspur() -> Iterator[Issuer]:
    with issuer() as running:
        yield running


@pytest.fixture
def oidc(settings: Settings, larkspur: Issuer) -> str:
    """Switch the issuer on, and return its id."""
    settings.SOCIALACCOUNT_PROVIDERS = issuer_settings(larkspur.url)
    return providers.issuer_id(larkspur.url)


@pytest.mark.django_db
@pytest.mark.usefixtures("x")
def test_x_signs_up_somebody_new_with_the_name_and_the_confirmed_address(client: Client) -> None:
    answer = come_back(client, X, timezone="Europe/Berlin")

    assertRedirects(answer, LANDING, fetch_redirect_response=False)
    user = User.objects.get(pk=client.session[SESSION_KEY])
    assert (user.name, user.email) == ("Jack Larkspur", "jack@example.test")
    assert user.timezone == "Europe/Berlin"
    assert not user.has_usable_password()
    assert EmailAddress.objects.get(user=user).verified
    assert accounts.names_of(accounts.methods_of(user)) == ["X as @jack"]
    assert accounts.personal_team(user).name == "Jack Larkspur"
    assert mail.outbox == []
    operations = [event.operation for event in audit.log(accounts.personal_team(user))]
    assert operations == ["SignIn", "SignUp", "CreateTeam"]


@pytest.mark.django_db
def test_the_second_time_x_opens_the_same_account(client: Client, x: OAuthServer) -> None:
    come_back(client, X)
    again = Client()
    # Whatever the name or the address at X is by then.
    x.people = jack(username="jacky", confirmed_email="other@example.test")

    come_back(again, X)

    assert again.session[SESSION_KEY] == client.session[SESSION_KEY]
    user = User.objects.get()
    assert user.email == "jack@example.test"
    assert accounts.names_of(accounts.methods_of(user)) == ["X as @jacky"]


@pytest.mark.django_db
def test_x_is_asked_for_the_address_and_with_a_proof_key(client: Client, x: OAuthServer) -> None:
    come_back(client, X)

    (asked,) = x.asked
    assert set(asked["scope"].split()) == {"users.read", "tweet.read", "users.email"}
    assert asked["code_challenge_method"] == "S256"


@pytest.mark.django_db
def test_of_what_a_provider_tells_only_what_is_shown_is_kept(
    client: Client, x: OAuthServer
) -> None:
    x.people = jack(confirmed_email="jack@example.test", profile_image_url="https://x.test/1.png")

    come_back(client, X)

    assert SocialAccount.objects.get().extra_data == {"name": "@jack"}
    assert not SocialToken.objects.exists()


@pytest.mark.django_db
def test_without_an_address_from_x_it_is_asked_for_and_has_to_be_confirmed(
    client: Client, x: OAuthServer
) -> None:
    x.people = jack()

    form = come_back(client, X)

    assertRedirects(form, reverse("socialaccount_signup"))
    page = text_of(client.get(reverse("socialaccount_signup")))
    assert 'value="Jack Larkspur"' in page
    answer = client.post(
        reverse("socialaccount_signup"), {"name": "Jack L.", "email": "Jack@example.test"}
    )
    assertRedirects(answer, "/accounts/confirm-email/")
    assert SESSION_KEY not in client.session
    assert "signs in with X as @jack" in str(last_mail().body)

    client.post(path_in(last_mail()))

    user = User.objects.get(pk=client.session[SESSION_KEY])
    assert (user.name, user.email) == ("Jack L.", "jack@example.test")


@pytest.mark.django_db
def test_an_issuer_signs_up_and_signs_in(client: Client, oidc: str, larkspur: Issuer) -> None:
    larkspur.knows("ada", email="ada@example.test", email_verified=True, name="Ada Lovelace")
    page = text_of(client.get(reverse("account_login")))
    assert "Continue with Larkspur" in page

    come_back(client, oidc, "ada")

    user = User.objects.get(pk=client.session[SESSION_KEY])
    assert (user.name, user.email) == ("Ada Lovelace", "ada@example.test")
    again = Client()
    come_back(again, oidc, "ada")
    assert again.session[SESSION_KEY] == str(user.pk)


@pytest.mark.django_db
@pytest.mark.parametrize("claim", [False, None, "false", "0", 1, ["yes"]])
def test_an_address_counts_as_confirmed_only_if_the_issuer_says_so(
    client: Client, oidc: str, larkspur: Issuer, claim: object
) -> None:
    owner = make_person()
    claims = {} if claim is None else {"email_verified": claim}
    larkspur.knows("eve", email=owner.email, **claims)

    come_back(client, oidc, "eve")

    # Not a word of the account that is there, but the form that everybody gets.
    page = client.get(reverse("socialaccount_signup"))
    assert "Create an account" in text_of(page)
    assert "Link" not in text_of(page)
    client.post(reverse("socialaccount_signup"), {"choice": "link"})
    assert "social_link" not in client.session
    answer = client.post(reverse("socialaccount_signup"), {"name": "Eve", "email": owner.email})
    assertRedirects(answer, "/accounts/confirm-email/")
    assert SESSION_KEY not in client.session
    assert SocialAccount.objects.get().user != owner
    assert last_mail().to == [owner.email]
    come_back(client, oidc, "eve")
    assert SESSION_KEY not in client.session


@pytest.mark.django_db
def test_what_the_form_does_not_ask_for_cannot_be_sent(
    client: Client, oidc: str, larkspur: Issuer
) -> None:
    larkspur.knows("mallory", email="mallory@example.test")
    come_back(client, oidc, "mallory")

    client.post(
        reverse("socialaccount_signup"),
        {
            "name": "Mallory",
            "email": "mallory@example.test",
            "is_staff": "on",
            "password1": "chosen-by-mallory",
        },
    )

    user = User.objects.get()
    assert not user.is_staff
    assert not user.has_usable_password()


# --- Where it leads


@pytest.mark.django_db
@pytest.mark.usefixtures("x")
def test_next_leads_to_the_page_one_came_from_and_nowhere_else(client: Client) -> None:
    assertRedirects(
        come_back(client, X, next="/account/"), "/account/", fetch_redirect_response=False
    )
    for elsewhere in ("https://evil.test/", "//evil.test/", "/\\evil.test/", "javascript:alert(1)"):
        answer = come_back(Client(), X, next=elsewhere)
        assertRedirects(answer, LANDING, fetch_redirect_response=False)


@pytest.mark.django_db
def test_the_provider_is_given_the_public_address_whatever_host_was_asked(
    client: Client, x: OAuthServer, settings: Settings
) -> None:
    settings.ALLOWED_HOSTS = ["*"]

    client.post(reverse("social_begin", args=[X]), headers={"Host": "evil.test"}).content.decode()
    address = leave(client, X)
    agree(address)

    assert x.asked[0]["redirect_uri"] == f"{settings.PUBLIC_URL}/accounts/social/{X}/callback/"
    page = client.post(reverse("social_begin", args=[X]), headers={"Host": "evil.test"})
    assert "evil.test" not in page.content.decode()


@pytest.mark.django_db
@pytest.mark.usefixtures("x")
def test_a_link_leaves_for_nowhere_but_a_form_does(client: Client) -> None:
    page = client.get(reverse("social_begin", args=[X]) + "?scope=tweet.write&next=/account/")

    assert "http-equiv" not in page.content.decode()
    assert "You leave Console for a moment" in page.content.decode()
    strict = Client(enforce_csrf_checks=True)
    assert strict.post(reverse("social_begin", args=[X])).status_code == 403
    # Nor does the address choose what X is asked for.
    address = client.post(
        reverse("social_begin", args=[X]) + "?scope=tweet.write&auth_params=force%3D1"
    ).content.decode()
    assert "tweet.write" not in address
    assert "force=1" not in address


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["social_begin", "social_callback"])
@pytest.mark.parametrize("name", ["google", "openid_connect", "nobody", "twitter_oauth2"])
def test_a_provider_that_is_switched_off_has_no_page(
    client: Client, settings: Settings, larkspur: Issuer, path: str, name: str
) -> None:
    settings.SOCIALACCOUNT_PROVIDERS = issuer_settings(larkspur.url)

    assert client.get(reverse(path, args=[name])).status_code == 404
    assert client.post(reverse(path, args=[name])).status_code in {404, 405}


@pytest.mark.django_db
def test_of_several_issuers_none_is_meant_by_the_name_of_their_kind(
    client: Browser, settings: Settings
) -> None:
    both = [issuer_settings(f"https://{name}.test")["openid_connect"] for name in ("a", "b")]
    apps = [app for kind in both for app in kind["APPS"]]
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": apps}}
    client.force_login(make_person())

    assert client.get(reverse("social_begin", args=["openid_connect"])).status_code == 404
    answer = client.post(reverse("accounts:add_method"), {"provider": "openid_connect"})
    assertRedirects(answer, reverse("accounts:methods"))


@pytest.mark.django_db
def test_a_row_in_the_database_switches_no_provider_on(client: Client) -> None:
    SocialApp.objects.create(provider="google", name="Google", client_id="1", secret="2")

    assert client.get(reverse("social_begin", args=["google"])).status_code == 404
    assert "Google" not in client.get(reverse("account_login")).content.decode()


# --- The others, at addresses of this machine


@pytest.mark.django_db
def test_github_is_asked_for_the_addresses_and_only_the_primary_is_taken_whichever_is_public(
    client: Client, settings: Settings
) -> None:
    with oauth_server() as server:
        app = {"name": "GitHub", "client_id": CLIENT_ID, "secret": CLIENT_SECRET}
        endpoints = {
            "authorize_url": f"{server.url}/authorize",
            "access_token_url": f"{server.url}/token",
            "profile_url": f"{server.url}/user",
            "emails_url": f"{server.url}/user/emails",
        }
        settings.SOCIALACCOUNT_PROVIDERS = {
            "github": {"APPS": [app], "OAUTH_PKCE_ENABLED": True, "ENDPOINTS": endpoints}
        }
        server.people = {
            "/user": {
                "id": 7,
                "login": "octo",
                "name": "Octo\u202e\n Larkspur",
                "email": "old@example.test",
            },
            "/user/emails": [
                {"email": "old@example.test", "primary": False, "verified": True},
                {"email": "octo@example.test", "primary": True, "verified": True},
            ],
        }

        come_back(client, "github")

    user = User.objects.get(pk=client.session[SESSION_KEY])
    assert (user.name, user.email) == ("Octo Larkspur", "octo@example.test")
    assert EmailAddress.objects.get(user=user).email == user.email
    assert accounts.names_of(accounts.methods_of(user)) == ["GitHub as octo"]


@pytest.mark.django_db
def test_google_says_who_it_is_and_whether_the_address_is_theirs(
    client: Client, settings: Settings
) -> None:
    with oauth_server() as server:
        app = {"name": "Google", "client_id": CLIENT_ID, "secret": CLIENT_SECRET}
        endpoints = {
            "authorize_url": f"{server.url}/authorize",
            "access_token_url": f"{server.url}/token",
            "identity_url": f"{server.url}/userinfo",
        }
        settings.SOCIALACCOUNT_PROVIDERS = {
            "google": {"APPS": [app], "OAUTH_PKCE_ENABLED": True, "ENDPOINTS": endpoints}
        }
        server.people = {
            "/userinfo": {
                "id": "7",
                "email": "ada@example.test",
                "verified_email": True,
                "given_name": "Ada",
                "family_name": "Lovelace",
            }
        }

        come_back(client, "google")

    user = User.objects.get(pk=client.session[SESSION_KEY])
    assert (user.name, user.email) == ("Ada Lovelace", "ada@example.test")
    assert accounts.names_of(accounts.methods_of(user)) == ["Google as ada@example.test"]
