"""Inviting: to whom and as what, how often, sending again and revoking."""

import re
from datetime import timedelta
from uuid import uuid4

import pytest
import time_machine
from allauth.account.models import EmailAddress
from django.conf import settings
from django.core import mail
from django.core.serializers.json import DjangoJSONEncoder
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django.asserts import assertRedirects

from accounts import services as accounts
from accounts.actors import SYSTEM, Actor
from accounts.models import Invitation, Membership, Team, User
from accounts.rules import Permission
from audit import services as audit
from tests.accounts.people import last_mail, make_person, path_in, text_of
from tests.accounts.teamwork import GUEST, html_of, is_in, offer, only, token_in
from tests.clients import Browser
from tests.factories import make_member, make_team

pytestmark = pytest.mark.django_db

Role = Membership.Role


@pytest.fixture
def inviting(alice: User) -> Browser:
    client = Browser()
    client.force_login(alice)
    return client


def invite(client: Client, team: Team, emails: str = GUEST, **form: str) -> str:
    """Invite by the page; return the path of the link in the last mail."""
    form = {"emails": emails, "role": "member"} | form
    answer = client.post(reverse("accounts_team:members_invite", args=[team.pk]), form)
    assertRedirects(answer, reverse("accounts_team:members", args=[team.pk]))
    return path_in(last_mail())


def change(client: Client, team: Team, name: str, invitation: Invitation) -> str:
    """Press a button beside an invitation; return what the page says then."""
    address = reverse(f"accounts_team:members_{name}", args=[team.pk, invitation.pk])
    return client.post(address, follow=True).content.decode()


# --- Inviting


def test_an_invitation_is_mailed_with_a_link_that_is_kept_nowhere(
    team: Team, inviting: Browser
) -> None:
    chosen = {"usage": "usage:read", "team": "team:write"}
    form = {"emails": "Erin@Example.Test", "role": "member", **chosen}
    inviting.post(reverse("accounts_team:members_invite", args=[team.pk]), form)
    path = path_in(last_mail())

    message = last_mail()
    token = token_in(path)
    assert message.to == [GUEST]
    assert message.subject == "Alice Moreau invites you to Larkspur Labs"
    for text in (str(message.body), html_of(message)):
        assert f"{settings.PUBLIC_URL}{path}" in text
        assert "as a member who may also change the team, and see usage" in text
    assert len(token) >= 43  # 256 bits
    invitation = only(team)
    assert (invitation.email, invitation.extra_permissions) == (GUEST, ["team:write", "usage:read"])
    assert token not in str(Invitation.across_teams.values().get())
    assert token not in str(list(audit.log(team).values()))
    event = audit.log(team).filter(operation="InviteMember").get()
    assert event.target_label == GUEST
    assert event.after == {
        "email": GUEST,
        "role": "member",
        "permissions": ["team:write", "usage:read"],
        "expires_at": DjangoJSONEncoder().default(invitation.expires_at),
    }


def test_the_link_is_that_of_the_console_whatever_host_was_asked(team: Team, alice: User) -> None:
    client = Browser(headers={"host": "127.0.0.1"})
    client.force_login(alice)

    invite(client, team)

    assert "127.0.0.1" not in str(last_mail().body)


def test_several_are_invited_at_once_each_by_a_mail_of_their_own(
    team: Team, inviting: Browser
) -> None:
    invite(
        inviting,
        team,
        "a@example.test, B@example.test;c@example.test\na@example.test",
        role="admin",
    )

    assert [message.to for message in mail.outbox] == [
        ["a@example.test"],
        ["b@example.test"],
        ["c@example.test"],
    ]
    assert {i.role for i in accounts.waiting_invitations(team)} == {"admin"}


def test_sending_the_form_twice_mails_once(team: Team, inviting: Browser) -> None:
    invite(inviting, team)
    form = {"emails": GUEST, "role": "member"}

    page = inviting.post(reverse("accounts_team:members_invite", args=[team.pk]), form, follow=True)

    assert f"{GUEST} has an invitation already." in page.content.decode()
    assert len(mail.outbox) == 1


@pytest.mark.parametrize(
    ("emails", "sentence"),
    [
        ("", "This field is required."),
        (" , ", "Enter an email address."),
        ("erin", "“erin” is not an email address."),
        ("good@example.test, bad@", "“bad@” is not an email address."),
        (" ".join(f"g{n}@example.test" for n in range(21)), "Invite up to 20 at once."),
        ("x@example.test\0", "Null characters are not allowed."),
    ],
)
def test_what_is_no_address_is_named_and_nobody_is_invited(
    team: Team, inviting: Browser, emails: str, sentence: str
) -> None:
    page = inviting.post(
        reverse("accounts_team:members_invite", args=[team.pk]),
        {"emails": emails, "role": "member"},
    )

    assert page.status_code == 200
    assert sentence in page.content.decode()
    assert mail.outbox == []


def test_who_is_in_the_team_is_not_invited_to_it(team: Team, inviting: Browser) -> None:
    bob = make_member(team)

    page = inviting.post(
        reverse("accounts_team:members_invite", args=[team.pk]),
        {"emails": f"{GUEST} {bob.email.upper()}", "role": "member"},
    )

    assert f"{bob.email} is in the team already." in page.content.decode()
    assert mail.outbox == []
    assert not accounts.waiting_invitations(team).exists()


def test_inviting_does_not_tell_who_has_an_account(team: Team, inviting: Browser) -> None:
    person = make_person()

    def pages(email: str) -> list[str]:
        form = {"emails": email, "role": "member"}
        told = inviting.post(
            reverse("accounts_team:members_invite", args=[team.pk]), form, follow=True
        )
        visit = Client().get(path_in(last_mail()))
        ids = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|invitations(?:/|%2F)[\w-]{43}"
        texts = [text_of(told), text_of(visit), str(last_mail().body)]
        texts = [re.sub(ids, "id", text).replace(email, "them") for text in texts]
        return [re.sub(re.escape(email.replace("@", "%40")), "them", text) for text in texts]

    with time_machine.travel(timezone.now(), tick=False):
        known = pages(person.email)
        Invitation.across_teams.all().delete()
        unknown = pages("nobody-here@example.test")

    assert known == unknown


def test_who_may_change_the_team_invites_as_what_they_are_themselves_at_most(team: Team) -> None:
    deputy = make_member(team, extra=[Permission.TEAM_WRITE, Permission.USAGE_READ])
    client = Browser()
    client.force_login(deputy)
    address = reverse("accounts_team:members_invite", args=[team.pk])

    invite(client, team, usage="usage:read")
    admin = client.post(address, {"emails": "eve@example.test", "role": "admin"})
    beyond = client.post(
        address, {"emails": "eve@example.test", "role": "member", "audit": "audit:read"}
    )

    assert admin.status_code == beyond.status_code == 403
    assert "Only an admin of the team can make somebody an admin" in admin.content.decode()
    assert "You have no permission to see the audit log." in beyond.content.decode()
    assert only(team).email == GUEST
    offer(team, "chief@example.test", Role.ADMIN)
    chief = accounts.waiting_invitations(team).get(email="chief@example.test")
    for name in ("resend", "revoke"):
        address = reverse(f"accounts_team:members_{name}", args=[team.pk, chief.pk])
        assert client.post(address).status_code == 403


def fill(team: Team, count: int, by: Actor, host: str) -> None:
    accounts.invite(
        team=team,
        emails=[f"guest-{number}@{host}" for number in range(count)],
        role=Role.MEMBER,
        extra_permissions=[],
        actor=by,
        now=timezone.now(),
    )


def test_a_team_has_fifty_invitations_waiting_and_no_more(team: Team, inviting: Browser) -> None:
    fill(team, 49, SYSTEM, "a.test")

    page = inviting.post(
        reverse("accounts_team:members_invite", args=[team.pk]),
        {"emails": "c@example.test d@example.test", "role": "member"},
    ).content.decode()

    assert "A team can have 50 invitations waiting, and Larkspur Labs has 49." in page
    assert len(mail.outbox) == 49
    invite(inviting, team)


def test_a_team_and_a_person_mail_a_hundred_invitations_a_day_and_no_more(
    team: Team, alice: User, inviting: Browser
) -> None:
    sentence = "At most 100 invitations can be mailed within 24 hours"
    second = accounts.create_team(name="Second", owner=alice, actor=SYSTEM, now=timezone.now())
    with time_machine.travel(timezone.now()) as clock:
        fill(team, 50, Actor.for_user(alice), "a.test")
        # To revoke them makes no room for more mails.
        accounts.waiting_invitations(team).update(revoked_at=timezone.now())
        fill(team, 49, Actor.for_user(alice), "b.test")
        first, other = accounts.waiting_invitations(team)[:2]
        change(inviting, team, "resend", first)
        assert sentence in change(inviting, team, "resend", other)
        change(inviting, team, "revoke", other)
        for where in (team, second):  # Another team of the same person makes none either.
            page = inviting.post(
                reverse("accounts_team:members_invite", args=[where.pk]),
                {"emails": "c@example.test", "role": "member"},
            )
            assert sentence in page.content.decode()
        assert len(mail.outbox) == 100

        clock.shift(timedelta(days=1, seconds=1))
        inviting.force_login(alice)
        invite(inviting, team, "c@example.test")


# --- Sending again, revoking


def test_sending_again_makes_a_new_link_and_ends_the_old_one(
    team: Team, alice: User, inviting: Browser
) -> None:
    with time_machine.travel(timezone.now()) as clock:
        old = invite(inviting, team, usage="usage:read")
        first = only(team)
        clock.shift(timedelta(days=8))
        inviting.force_login(alice)
        assert (
            "Expired"
            in inviting.get(reverse("accounts_team:members", args=[team.pk])).content.decode()
        )

        assert f"Sent a new link to {GUEST}." in change(inviting, team, "resend", first)

        new = path_in(last_mail())
        assert new != old
        assert (only(team).created_at, only(team).role) == (first.created_at, first.role)
        assert only(team).extra_permissions == ["usage:read"]
        assert only(team).expires_at > timezone.now() + timedelta(days=6)
        dead, alive = Client().get(old), Client().get(new)
        assert (dead.status_code, alive.status_code) == (410, 200)
        assert "A newer invitation was sent" in dead.content.decode()
        assert "was sent again already" in change(inviting, team, "resend", first)
        assert len(mail.outbox) == 2
        event = audit.log(team).filter(operation="ResendInvitation").get()
        assert event.before
        assert event.after
        assert event.before["expires_at"] < event.after["expires_at"]


def test_inviting_an_address_whose_invitation_has_expired_sends_another(
    team: Team, alice: User, inviting: Browser
) -> None:
    with time_machine.travel(timezone.now()) as clock:
        invite(inviting, team)
        clock.shift(timedelta(days=7))
        inviting.force_login(alice)

        invite(inviting, team, role="admin")

    assert only(team).is_admin
    assert len(mail.outbox) == 2


def test_a_revoked_invitation_opens_nothing(team: Team, inviting: Browser) -> None:
    path = invite(inviting, team)
    invitation = only(team)
    erin = make_person()
    EmailAddress.objects.filter(user=erin).update(email=GUEST)
    client = Browser()
    client.force_login(erin)

    assert f"The invitation of {GUEST} is revoked." in change(inviting, team, "revoke", invitation)

    answers = (Client().get(path), client.get(path), client.post(path))
    assert [answer.status_code for answer in answers] == [410] * 3
    assert "This invitation was revoked" in answers[0].content.decode()
    assert not is_in(team, erin)
    event = audit.log(team).filter(operation="RevokeInvitation").get()
    assert (event.before or {})["email"] == GUEST
    assert event.after is None
    for name in ("revoke", "resend"):
        assert "This invitation was revoked." in change(inviting, team, name, invitation)


def test_an_invitation_of_another_team_is_not_there(team: Team, inviting: Browser) -> None:
    elsewhere = make_team()
    offer(elsewhere)

    for name in ("resend", "revoke"):
        for pk in (only(elsewhere).pk, uuid4()):
            address = reverse(f"accounts_team:members_{name}", args=[team.pk, pk])
            assert inviting.post(address).status_code == 404

    assert only(elsewhere).revoked_at is None
