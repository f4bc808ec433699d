"""Signing up: a name, an e-mail, a password, a mailed link, and a team of one's own at the end."""

from datetime import timedelta

import pytest
import time_machine
from allauth.account.models import EmailAddress
from django.core import mail
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django.asserts import assertRedirects

from accounts import services as accounts
from accounts.actors import Actor
from accounts.models import Invitation, Membership, Team, User
from audit import services as audit
from tests.accounts.people import last_mail, make_person, path_in, sign_in, sign_up, text_of
from tests.factories import make_admin, make_team, make_user
from tests.races import race

CHECK_MAIL = "/accounts/confirm-email/"
LANDING = "/team/default/"


@pytest.mark.django_db
def test_the_mailed_link_signs_in_and_leads_to_the_team_of_ones_own(client: Client) -> None:
    answer = sign_up(client, "alice@example.test")
    assertRedirects(answer, CHECK_MAIL)
    link = path_in(last_mail())
    assert last_mail().to == ["alice@example.test"]
    assert "Confirm your email</button>" in client.get(link).content.decode()

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
def test_a_link_followed_in_another_browser_confirms_after_a_sign_in(client: Client) -> None:
    sign_up(client, "alice@example.test")
    link, elsewhere = path_in(last_mail()), Client()
    mail.outbox.clear()

    page = text_of(elsewhere.post(link))

    assert "Is this account yours?" in page
    assert "Alice Larkspur" in page
    assert "<dd>A password</dd>" in page
    assertRedirects(elsewhere.post(link, {"answer": "mine"}), reverse("account_login"))
    assert not EmailAddress.objects.get().verified
    assertRedirects(sign_in(elsewhere, "alice@example.test"), link)
    assert "Confirm your email</button>" in text_of(elsewhere.get(link))
    assertRedirects(elsewhere.post(link), LANDING, fetch_redirect_response=False)
    assert "_auth_user_id" in elsewhere.session
    assert mail.outbox == []


@pytest.mark.django_db
def test_who_signed_up_with_a_strangers_address_does_not_get_it_by_the_strangers_click(
    client: Client,
) -> None:
    eve = Client()
    sign_up(eve, "alice@example.test", password="known-to-eve-1")
    link = path_in(last_mail())
    sign_up(client, "alice@example.test")

    client.post(link)
    client.post(link, {"answer": "mine"})
    sign_in(client, "alice@example.test")  # With a password that opens nothing here.
    client.post(link)

    assert not EmailAddress.objects.filter(verified=True).exists()
    for browser in (eve, Client()):
        assertRedirects(sign_in(browser, "alice@example.test", "known-to-eve-1"), CHECK_MAIL)
        assert "_auth_user_id" not in browser.session


@pytest.mark.django_db
def test_who_says_it_was_not_them_is_rid_of_the_account_and_can_sign_up(client: Client) -> None:
    team = make_team("Larkspur")
    accounts.invite(
        team=team,
        emails=["alice@example.test"],
        role=Membership.Role.MEMBER,
        extra_permissions=[],
        actor=Actor.for_user(make_admin(team)),
        now=timezone.now(),
    )
    eve = Client()
    sign_up(eve, "alice@example.test", password="known-to-eve-1")
    link = path_in(last_mail())
    made = User.objects.get(email="alice@example.test")

    assert "It was not you" in text_of(client.post(link, {"answer": "not_mine"}))

    made.refresh_from_db()
    assert made.erased_at
    assert "alice" not in made.email
    assert eve.post(link).status_code == 404
    sign_in(eve, "alice@example.test", "known-to-eve-1")
    assert "_auth_user_id" not in eve.session
    assert Invitation.of(team).get().email == "alice@example.test"
    sign_up(client, "alice@example.test")
    assertRedirects(client.post(path_in(last_mail())), LANDING, fetch_redirect_response=False)


@pytest.mark.django_db
def test_the_mail_about_ones_own_sign_up_never_waits_for_one_about_somebody_elses(
    client: Client,
) -> None:
    sign_up(Client(), "alice@example.test", password="known-to-eve-1")
    mail.outbox.clear()

    sign_up(client, "alice@example.test")

    assert "already has an account" in str(last_mail().body)
    client.post(reverse("account_reset_password"), {"email": "alice@example.test"})
    form = client.get(path_in(last_mail()), follow=True)
    client.post(form.request["PATH_INFO"], {"password1": "kangaroo-violin-basalt"})
    assert "_auth_user_id" in client.session
    assert sign_in(Client(), "alice@example.test", "known-to-eve-1").status_code == 200


@pytest.mark.django_db
def test_one_account_is_mailed_every_three_minutes_and_one_address_twenty_times_a_day(
    client: Client,
) -> None:
    sign_up(client, "alice@example.test")
    sign_in(client, "alice@example.test")
    assert len(mail.outbox) == 1

    start = timezone.now()
    for minute in range(5, 150, 5):
        with time_machine.travel(start + timedelta(minutes=minute)):
            sign_in(client, "alice@example.test")

    assert len(mail.outbox) == 20


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


@pytest.mark.django_db
def test_a_name_adds_no_line_to_a_mail_and_turns_no_text_around(client: Client) -> None:
    refused = sign_up(client, "alice@example.test", name="Alice \u202egnp.exe")
    assert "A name cannot contain invisible characters." in refused.content.decode()

    sign_up(client, "alice@example.test", name="Alice\n\nOpen\u2028http://evil.test\t now")

    assert User.objects.get().name == "Alice Open http://evil.test now"


@pytest.mark.django_db(transaction=True)
def test_two_sign_ups_at_once_with_one_address_make_one_account_and_answer_alike() -> None:
    cache.clear()

    def signing_up() -> tuple[int, str]:
        answer = sign_up(Client(), "alice@example.test")
        return answer.status_code, answer.headers["Location"]

    assert race(signing_up, signing_up) == [(302, CHECK_MAIL)] * 2
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
