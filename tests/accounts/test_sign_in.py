"""Signing in and out: one account per password, no hints for strangers, no way off the site."""

import pytest
from allauth.account.models import EmailAddress
from django.contrib.auth import SESSION_KEY
from django.test import Client
from django.urls import reverse
from pytest_django import Settings
from pytest_django.asserts import assertRedirects

from accounts import services as accounts
from accounts.models import Membership, User
from audit import services as audit
from tests.accounts.people import make_person, sign_in, text_of
from tests.factories import PASSWORD, make_team

CHECK_MAIL = "/accounts/confirm-email/"
LANDING = "/team/default/"


@pytest.mark.django_db
def test_signing_in_gives_the_session_a_new_key_and_signing_out_ends_it(client: Client) -> None:
    person = make_person()
    client.get(reverse("account_login"))
    client.session["planted"] = True
    client.session.save()
    before = client.session.session_key

    assertRedirects(sign_in(client, person.email), LANDING, fetch_redirect_response=False)

    assert client.session.session_key != before
    cookie = client.cookies["sessionid"]
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")

    assertRedirects(client.post(reverse("account_logout")), reverse("account_login"))

    assert SESSION_KEY not in client.session
    log = audit.log(accounts.personal_team(person))
    assert [event.operation for event in log[:2]] == ["SignOut", "SignIn"]


@pytest.mark.django_db
def test_a_link_cannot_sign_anyone_out(client: Client) -> None:
    client.force_login(make_person())

    page = client.get(reverse("account_logout"))

    assert "Sign out" in page.content.decode()
    assert SESSION_KEY in client.session


@pytest.mark.django_db
@pytest.mark.parametrize("page", ["account_login", "account_signup", "account_reset_password"])
def test_forms_from_elsewhere_are_refused(page: str) -> None:
    strict = Client(enforce_csrf_checks=True)

    assert strict.post(reverse(page), {"login": "x"}).status_code == 403


@pytest.mark.django_db
def test_a_wrong_password_and_an_unknown_address_get_the_same_answer(client: Client) -> None:
    person = make_person()

    wrong = sign_in(client, person.email, "not-the-password")
    unknown = sign_in(client, "nobody-4@example.test", "not-the-password")

    assert "The email or the password is not right." in text_of(wrong)
    assert text_of(wrong).replace(person.email, "nobody-4@example.test") == text_of(unknown)
    assert wrong.status_code == unknown.status_code


@pytest.mark.django_db
def test_the_password_opens_its_account_though_another_has_confirmed_the_address(
    client: Client,
) -> None:
    person = make_person()
    other = User.objects.create_user(person.email, None)
    EmailAddress.objects.create(user=other, email=person.email, primary=True, verified=True)

    sign_in(client, person.email)

    assert client.session[SESSION_KEY] == str(person.pk)

    # Also while its own address waits to be confirmed: the password is right.
    EmailAddress.objects.filter(user=person).update(verified=False)

    assertRedirects(sign_in(Client(), person.email), CHECK_MAIL)


@pytest.mark.django_db
def test_an_account_without_a_password_cannot_be_opened_with_one(client: Client) -> None:
    other = User.objects.create_user("alice@example.test", None)
    EmailAddress.objects.create(user=other, email=other.email, primary=True, verified=True)

    for guess in ("", "!", other.password):
        sign_in(client, other.email, guess)

    assert SESSION_KEY not in client.session


@pytest.mark.django_db
def test_after_five_failures_not_even_the_right_password_helps_for_a_while(client: Client) -> None:
    person = make_person()
    for _ in range(5):
        sign_in(client, person.email, "not-the-password")

    page = sign_in(client, person.email, PASSWORD)

    assert "Too many attempts" in page.content.decode()
    assert SESSION_KEY not in client.session


@pytest.mark.django_db
def test_a_flood_from_one_address_is_turned_away_with_429(client: Client) -> None:
    answers = [sign_in(client, f"nobody-{n}@example.test", "x" * 12) for n in range(31)]

    assert answers[-1].status_code == 429
    assert "Too many attempts" in answers[-1].content.decode()


@pytest.mark.django_db
def test_a_closed_account_says_so_only_to_who_knows_the_password(client: Client) -> None:
    person = make_person()
    person.is_active = False
    person.save()

    wrong = sign_in(client, person.email, "not-the-password")
    right = sign_in(client, person.email)

    assert "is not right" in wrong.content.decode()
    assertRedirects(right, reverse("account_inactive"))
    assert SESSION_KEY not in client.session


@pytest.mark.django_db
@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.test/",
        "//evil.test/",
        "///evil.test/",
        "/\\evil.test/",
        "http:///evil.test/",
        "https:evil.test",
        "javascript:alert(1)",
        "http://localhost:9/",
        "http://127.0.0.1/",  # One of ALLOWED_HOSTS, but another server listens there.
    ],
)
def test_next_leads_nowhere_but_to_this_site(client: Client, elsewhere: str) -> None:
    person = make_person()

    answer = sign_in(client, person.email, next=elsewhere)

    assertRedirects(answer, LANDING, fetch_redirect_response=False)


@pytest.mark.django_db
def test_next_leads_to_the_page_one_came_from(client: Client) -> None:
    person = make_person()
    team = accounts.personal_team(person)
    asked_for = reverse("home", args=[team.pk]) + "?day=1"
    door = client.get(asked_for).headers["Location"]

    answer = client.post(door, {"login": person.email, "password": PASSWORD})

    assertRedirects(answer, asked_for, fetch_redirect_response=False)


@pytest.mark.django_db
def test_signing_in_leads_to_the_last_team_used_while_still_a_member(client: Client) -> None:
    person = make_person()
    team = make_team("Larkspur")
    membership = Membership.objects.create(team=team, user=person)
    client.force_login(person)
    client.get(reverse("home", args=[team.pk]))
    person.refresh_from_db()

    assert accounts.default_team(person) == team

    membership.delete()

    assert accounts.default_team(person) == accounts.personal_team(person)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "path",
    [
        "/accounts/",
        "/accounts/2fa/",
        "/accounts/2fa/totp/activate/",
        "/accounts/2fa/authenticate/",
        "/accounts/3rdparty/",
        "/accounts/3rdparty/signup/",
        "/accounts/email/",
        "/accounts/login/code/confirm/",
        "/accounts/password/change/",
        "/accounts/password/set/",
        "/accounts/reauthenticate/",
        "/accounts/sessions/",
        "/accounts/social/signup/",
    ],
)
def test_pages_of_allauth_that_are_not_ours_do_not_exist(client: Client, path: str) -> None:
    client.force_login(make_person())

    assert client.get(path).status_code == 404


@pytest.mark.django_db
@pytest.mark.parametrize("page", ["account_login", "account_signup", "account_reset_password"])
def test_pages_bear_the_name_of_the_console_and_not_the_host_that_was_asked(
    client: Client, settings: Settings, page: str
) -> None:
    settings.ALLOWED_HOSTS = ["*"]

    text = text_of(client.get(reverse(page), headers={"Host": "evil.test"}))

    assert "evil.test" not in text
    assert f" · {settings.CONSOLE_NAME}</title>" in text
    assert f"mailto:{settings.SUPPORT_EMAIL}" in text
