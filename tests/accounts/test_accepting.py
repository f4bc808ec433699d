"""An invitation's link: it works once, for the address it was mailed to, for seven days."""

import re
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
import time_machine
from allauth.account.models import EmailAddress
from allauth.mfa.totp.internal.auth import (
    TOTP,
    format_hotp_value,
    hotp_value,
    yield_hotp_counters_from_time,
)
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django.asserts import assertRedirects

from accounts import services as accounts
from accounts.actors import Actor
from accounts.models import Membership, Team, User
from audit import services as audit
from tests.accounts.people import last_mail, make_person, path_in, sign_in, sign_up
from tests.accounts.teamwork import GUEST, browser_of, is_in, offer, only, send
from tests.clients import Browser
from tests.factories import make_team

pytestmark = pytest.mark.django_db

Role = Membership.Role


def test_a_visitor_reads_who_invites_to_what_and_can_sign_in_or_up_and_come_back(
    team: Team, alice: User
) -> None:
    send(browser_of(alice), "members_invite", team, emails=GUEST, role="admin")
    path = path_in(last_mail())

    answer = Client().get(path)

    page = answer.content.decode()
    assert answer.status_code == 200
    assert "Alice Moreau invites you to Larkspur Labs" in page
    assert "an admin, who may do everything" in page
    assert GUEST in page
    links = [urlsplit(link.replace("&amp;", "&")) for link in re.findall(r'href="([^"]+)"', page)]
    up = next(link for link in links if link.path == reverse("account_signup"))
    assert parse_qs(up.query) == {"next": [path], "email": [GUEST]}
    into = next(link for link in links if link.path == reverse("account_login"))
    assert parse_qs(into.query) == {"next": [path]}
    form = Client().get(reverse("account_signup"), {"next": path, "email": GUEST})
    assert f'value="{GUEST}"' in form.content.decode()


def test_the_secret_address_is_neither_stored_by_browsers_nor_told_to_other_sites(
    team: Team,
) -> None:
    path = offer(team)

    for answer in (Client().get(path), Client().get("/account/invitations/nonsense/")):
        assert "no-store" in answer.headers["Cache-Control"]
        assert answer.headers["Referrer-Policy"] == "same-origin"


@pytest.mark.parametrize("token", ["x", "%00", "a" * 500, "é"])
def test_a_link_that_nobody_was_sent_is_404(client: Client, token: str) -> None:
    path = f"/account/invitations/{token}/"

    for answer in (client.get(path), client.post(path)):
        assert answer.status_code == 404
        assert "There is no such invitation" in answer.content.decode()


def test_who_signs_in_comes_back_and_joins(team: Team, client: Client) -> None:
    person = make_person("Erin Vale")
    path = offer(team, person.email)

    assertRedirects(sign_in(client, person.email, next=path), path)
    assert "Join team" in client.get(path).content.decode()
    assert not is_in(team, person)  # Nobody joins by looking.
    answer = client.post(path, follow=True)

    assert answer.redirect_chain == [(reverse("home", args=[team.pk]), 302)]
    assert "You joined Larkspur Labs." in answer.content.decode()
    assert is_in(team, person)
    event = audit.log(team).filter(operation="AcceptInvitation").get()
    assert (event.user, event.before) == (person, None)
    assert event.after == {
        "email": person.email,
        "invited_as": person.email,
        "permissions": [],
        "role": "member",
    }


def test_who_signs_up_comes_back_after_confirming_the_address(team: Team, client: Client) -> None:
    path = offer(team, role=Role.ADMIN)

    sign_up(client, GUEST, next=path)
    answer = client.post(path_in(last_mail()))

    assertRedirects(answer, path)
    client.post(path)
    assert Membership.objects.get(team=team, user__email=GUEST).is_admin


def test_who_has_a_second_factor_comes_back_after_it(team: Team, client: Client) -> None:
    person = make_person()
    TOTP.activate(person, "JBSWY3DPEHPK3PXP")
    path = offer(team, person.email)

    step = sign_in(client, person.email, next=path).headers["Location"]
    assert urlsplit(step).path == reverse("mfa_authenticate")
    counter = next(iter(yield_hotp_counters_from_time()))
    code = format_hotp_value(hotp_value("JBSWY3DPEHPK3PXP", counter))

    assertRedirects(client.post(step, {"code": code}), path)


def test_a_visitor_who_accepts_is_asked_to_sign_in_first(team: Team, client: Client) -> None:
    path = offer(team)

    answer = client.post(path)

    assert urlsplit(answer.headers["Location"]).path == reverse("account_login")
    assert parse_qs(urlsplit(answer.headers["Location"]).query) == {"next": [path]}
    assert only(team).accepted_at is None


def test_somebody_else_is_told_whose_it_is_and_can_sign_out_and_continue(
    team: Team, client: Client
) -> None:
    path, other = offer(team), make_person()
    client.force_login(other)

    page, attempt = client.get(path), client.post(path)

    assert (page.status_code, attempt.status_code) == (200, 403)
    for answer in (page, attempt):
        text = answer.content.decode()
        assert f"You are signed in as {other.email}" in text
        assert f"{GUEST} is not a confirmed address of this account" in text
        assert "Join team" not in text
    assert not is_in(team, other)
    assert only(team).accepted_at is None
    assertRedirects(client.post(reverse("account_logout"), {"next": path}), path)


def test_an_address_counts_once_it_is_confirmed_in_whatever_case(
    team: Team, client: Client
) -> None:
    path, person = offer(team), make_person()
    address = EmailAddress.objects.create(user=person, email="ERIN@example.test", verified=False)
    client.force_login(person)
    assert client.post(path).status_code == 403

    address.verified = True
    address.save()

    assert client.post(path).status_code == 302
    assert is_in(team, person)


def test_an_invitation_works_once(team: Team, client: Client) -> None:
    person, second = make_person(), make_person()
    path = offer(team, person.email)
    client.force_login(person)
    client.post(path)
    # The same mailbox, another account: as after an account was made anew.
    EmailAddress.objects.create(user=second, email=person.email, verified=True)
    other = Browser()
    other.force_login(second)

    again, used, visit = client.post(path), other.post(path), Client().get(path)

    assertRedirects(again, reverse("home", args=[team.pk]), fetch_redirect_response=False)
    assert used.status_code == visit.status_code == 410
    assert "This invitation was used" in used.content.decode()
    assert not is_in(team, second)
    assert Membership.objects.filter(team=team).count() == 1
    assert "You are already in Larkspur Labs" in client.get(path).content.decode()


def test_who_left_does_not_come_back_by_the_same_link(team: Team, alice: User) -> None:
    person = make_person()
    path = offer(team, person.email)
    client = Browser()
    client.force_login(person)
    client.post(path)
    accounts.remove_member(team=team, user=person, actor=Actor.for_user(alice), now=timezone.now())

    assert client.post(path).status_code == 410
    assert not is_in(team, person)


def test_an_invitation_lasts_seven_days_and_not_a_second_longer(team: Team, client: Client) -> None:
    with time_machine.travel(timezone.now(), tick=False) as clock:
        person = make_person()
        path = offer(team, person.email)
        clock.shift(timedelta(days=7) - timedelta(seconds=1))
        client.force_login(person)
        assert client.get(path).status_code == 200

        clock.shift(timedelta(seconds=1))

        for answer in (client.get(path), client.post(path), Client().get(path)):
            assert answer.status_code == 410
            assert "This invitation has expired" in answer.content.decode()
    assert not is_in(team, person)


def test_who_is_in_too_many_teams_is_told_so(team: Team, client: Client) -> None:
    person = make_person()
    for _ in range(accounts.MAX_TEAMS - 1):
        Membership.objects.create(team=make_team(), user=person)
    path = offer(team, person.email)
    client.force_login(person)

    answer = client.post(path)

    assert answer.status_code == 409
    assert "You are in 50 teams, and nobody can be in more." in answer.content.decode()
    assert only(team).accepted_at is None


def test_an_invitation_to_a_team_that_was_deleted_is_revoked(team: Team, alice: User) -> None:
    path = offer(team)

    accounts.delete_team(team=team, actor=Actor.for_user(alice), now=timezone.now())

    answer = Client().get(path)
    assert answer.status_code == 410
    assert "This invitation was revoked" in answer.content.decode()
