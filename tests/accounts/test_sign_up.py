"""Signing up: a name, an e-mail, a password, a mailed link, and a team of one's own at the end."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.core import mail
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.urls import reverse
from pytest_django.asserts import assertRedirects

from accounts import services as accounts
from accounts.models import Membership, Team, User
from audit import services as audit
from tests.accounts.people import last_mail, make_person, path_in, sign_in, sign_up, text_of
from tests.factories import make_user

CHECK_MAIL = "/accounts/confirm-email/"
LANDING = "/team/default/"


@pytest.mark.django_db
def test_the_mailed_link_signs_in_and_leads_to_the_team_of_ones_own(client: Client) -> None:
    answer = sign_up(client, "alice@example.test")
    assertRedirects(answer, CHECK_MAIL)
    link = path_in(last_mail())
    assert last_mail().to == ["alice@example.test"]
    assert "Confirm address" in client.get(link).content.decode()

    confirmed = client.post(link)

    assertRedirects(confirmed, LANDING, fetch_redirect_response=False)
    membership = Membership.objects.get(user=client.session["_auth_user_id"])
    assert (membership.team.name, membership.team.is_personal) == ("Alice Larkspur", True)
    assert membership.is_admin
    home = reverse("home", args=[membership.team_id])
    assertRedirects(client.get(LANDING), home, fetch_redirect_response=False)


@pytest.mark.django_db
def test_opening_the_link_confirms_nothing_because_mail_scanners_open_links(client: Client) -> None:
    sign_up(client, "alice@example.test")

    Client().get(path_in(last_mail()))

    assertRedirects(sign_in(Client(), "alice@example.test"), CHECK_MAIL)


@pytest.mark.django_db
def test_an_account_opens_nothing_before_its_address_is_confirmed(client: Client) -> None:
    sign_up(client, "alice@example.test")

    assertRedirects(sign_in(client, "alice@example.test"), CHECK_MAIL)

    assert client.get(LANDING).status_code == 302
    assert "_auth_user_id" not in client.session


@pytest.mark.django_db
def test_a_link_followed_in_another_browser_confirms_and_asks_to_sign_in(client: Client) -> None:
    sign_up(client, "alice@example.test")
    elsewhere = Client()

    answer = elsewhere.post(path_in(last_mail()))

    assertRedirects(answer, reverse("account_login"))
    assert "_auth_user_id" not in elsewhere.session
    assertRedirects(
        sign_in(elsewhere, "alice@example.test"), LANDING, fetch_redirect_response=False
    )


@pytest.mark.django_db
def test_a_link_works_once(client: Client) -> None:
    sign_up(client, "alice@example.test")
    link = path_in(last_mail())
    client.post(link)

    again = Client().post(link)

    assert again.status_code == 404
    assert "This link no longer works" in Client().get(link).content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize("spelling", ["{email}", "{upper}"])
def test_an_address_with_an_account_gets_the_same_answer_and_its_owner_a_mail(
    client: Client, spelling: str
) -> None:
    owner = make_person()
    somewhere = Client()
    unknown = sign_up(somewhere, "unknown@example.test")
    mail.outbox.clear()

    address = spelling.format(email=owner.email, upper=owner.email.upper())
    known = sign_up(client, address, password="another-password-7")

    assert (known.status_code, known.headers["Location"]) == (
        unknown.status_code,
        unknown.headers["Location"],
    )
    assert text_of(client.get(CHECK_MAIL)) == text_of(somewhere.get(CHECK_MAIL))
    assert [message.to for message in mail.outbox] == [[owner.email]]
    assert "already has an account" in str(last_mail().body)
    assert User.objects.filter(email__iexact=owner.email).count() == 1
    assertRedirects(sign_in(client, owner.email), LANDING, fetch_redirect_response=False)


@pytest.mark.django_db
def test_an_account_without_a_password_does_not_stand_in_the_way(client: Client) -> None:
    other = User.objects.create_user("alice@example.test", None)

    sign_up(client, "alice@example.test")

    client.post(path_in(last_mail()))
    assert client.session["_auth_user_id"] != str(other.pk)
    assert User.objects.filter(email="alice@example.test").count() == 2


@pytest.mark.django_db(transaction=True)
def test_two_sign_ups_at_once_with_one_address_make_one_account_and_answer_alike() -> None:
    cache.clear()
    together = Barrier(2)

    def race(_: int) -> tuple[int, str]:
        client = Client()
        client.get(reverse("account_signup"))
        together.wait(timeout=20)
        try:
            answer = sign_up(client, "alice@example.test")
            return answer.status_code, answer.headers["Location"]
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(race, range(2)))

    assert answers == [(302, CHECK_MAIL)] * 2
    user = User.objects.get(email="alice@example.test")
    assert Team.objects.filter(is_personal=True, members=user).count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("short-1", "at least 10 characters"),
        ("1234567890", "leaked elsewhere"),
        ("98012345678912", "leaked elsewhere"),
        ("alice@example.test", "your email"),
    ],
)
def test_a_weak_password_is_refused_with_the_reason(
    client: Client, password: str, reason: str
) -> None:
    page = sign_up(client, "alice@example.test", password=password)

    assert reason in page.content.decode()
    assert not User.objects.exists()


@pytest.mark.django_db
def test_the_form_cannot_make_staff_or_choose_anything_it_does_not_show(client: Client) -> None:
    sign_up(client, "alice@example.test", is_staff="on", is_superuser="on", role="admin")

    user = User.objects.get()
    assert not user.is_staff
    assert not user.is_superuser


@pytest.mark.django_db
def test_everything_on_the_way_stands_in_the_log_of_ones_own_team(client: Client) -> None:
    sign_up(client, "alice@example.test")
    client.post(path_in(last_mail()), headers={"User-Agent": "Larkspur/1"})

    team = accounts.personal_team(User.objects.get())
    events = list(audit.log(team))
    assert [event.operation for event in reversed(events)] == [
        "CreateTeam",
        "SignUp",
        "ConfirmEmail",
        "SignIn",
    ]
    assert {event.ip for event in events} == {"127.0.0.1"}
    assert events[0].user_agent == "Larkspur/1"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "team"), [("Ada Lovelace", "Ada Lovelace"), ("", "someone"), ("x" * 80, "x" * 80)]
)
def test_a_personal_team_is_named_after_the_person(name: str, team: str) -> None:
    user = User.objects.create_user("someone@example.test", None, name=name)

    assert accounts.personal_team(user).name == team


@pytest.mark.django_db
def test_who_is_made_by_a_command_has_a_personal_team_too() -> None:
    assert accounts.personal_team(make_user("Bob")).is_personal
