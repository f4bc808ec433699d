"""Removing members and leaving: what stays with the team, and when somebody was last here."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from django.core import mail
from django.db import connection
from django.db.models.signals import post_save
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from pytest_django.asserts import assertRedirects

from accounts import services as accounts
from accounts.actors import SYSTEM, Actor
from accounts.models import Membership, Team, User
from accounts.rules import Permission
from api_keys import services as api_keys
from audit import services as audit
from tests.accounts.people import last_mail, make_person, path_in, text_of
from tests.accounts.teamwork import browser_of, is_in, page_of, send, standing, url
from tests.factories import NOON, make_admin, make_team

pytestmark = pytest.mark.django_db

Role = Membership.Role


# --- Removing and leaving


def test_removing_says_which_keys_stay_and_they_stay(team: Team, alice: User, bob: User) -> None:
    for name in ("search", "ci-runner"):
        api_keys.create(team=team, actor=SYSTEM, owner=bob, name=name, now=NOON)
    client = browser_of(alice)

    asked = page_of(client, team, dialog="remove", member=str(bob.pk))
    answer = client.post(url("members_remove", team, bob.pk))

    assert "2 API keys (ci-runner and search) stay with the team." in asked
    assertRedirects(answer, url("members", team), fetch_redirect_response=False)
    assert "Bob Tanaka is removed from the team." in page_of(client, team)
    assert not is_in(team, bob)
    assert api_keys.living(team) == ["ci-runner", "search"]
    assert browser_of(bob).get(reverse("home", args=[team.pk])).status_code == 404
    event = audit.log(team).filter(operation="RemoveMember").get()
    assert event.before == {"email": bob.email, "role": "member", "permissions": []}
    assert event.after is None
    [message] = mail.outbox
    assert message.subject == "You were removed from Larkspur Labs"
    assert message.to == [bob.email]


def test_removing_twice_is_told_and_not_an_error(team: Team, alice: User, bob: User) -> None:
    client = browser_of(alice)
    client.post(url("members_remove", team, bob.pk))
    page_of(client, team)

    answer = client.post(url("members_remove", team, bob.pk))

    assert answer.status_code == 404
    assert "This person is not in Larkspur Labs any more." in answer.content.decode()
    assert "Alice Moreau" in answer.content.decode()  # The list is there to go on with.
    assert audit.log(team).filter(operation="RemoveMember").count() == 1


def test_a_form_without_a_role_for_who_was_removed_is_told_like_any_other(
    team: Team, alice: User, bob: User
) -> None:
    client = browser_of(alice)
    client.post(url("members_remove", team, bob.pk))
    page_of(client, team)

    answer = client.post(url("members_update", team, bob.pk))

    assert answer.status_code == 404
    assert "This person is not in Larkspur Labs any more." in answer.content.decode()
    assert "Alice Moreau" in answer.content.decode()


@pytest.mark.parametrize("name", ["members_update", "members_remove"])
def test_whose_account_an_id_is_is_told_to_nobody_outside_their_teams(
    team: Team, alice: User, name: str
) -> None:
    named, nameless = make_person("Sidney Secret"), make_person("")

    def told(user_id: object) -> tuple[int, str]:
        answer = browser_of(alice).post(url(name, team, user_id), {"role": "member"})
        return answer.status_code, text_of(answer).replace(str(user_id), "id")

    nobody = told(uuid4())

    assert nobody[0] == 404
    assert "This person is not in Larkspur Labs any more." in nobody[1]
    assert told(named.pk) == told(nameless.pk) == nobody
    with pytest.raises(accounts.NotMemberError, match=r"^This person is not in Larkspur Labs"):
        accounts.remove_member(team=team, user=named, actor=Actor.for_user(alice), now=NOON)


def test_somebody_of_another_team_is_no_member_of_this_one(team: Team, alice: User) -> None:
    stranger = make_admin(make_team())

    browser_of(alice).post(url("members_remove", team, stranger.pk))
    browser_of(alice).post(url("members_update", team, stranger.pk), {"role": "admin"})

    assert Membership.objects.get(user=stranger, team__is_personal=False).is_admin
    assert not is_in(team, stranger)


@pytest.mark.parametrize("name", ["members_invite", "members_update", "members_remove"])
def test_what_gives_or_takes_access_asks_who_it_is_after_a_while(
    team: Team, alice: User, bob: User, name: str
) -> None:
    client = browser_of(alice, age=3600)
    args = [] if name == "members_invite" else [bob.pk]

    answer = client.post(url(name, team, *args), {"role": "admin", "emails": "new@example.test"})

    assert answer.status_code == 302
    assert answer.headers["Location"].startswith(reverse("account_reauthenticate"))
    assert standing(team, bob) == (Role.MEMBER, [])
    assert not accounts.waiting_invitations(team).exists()


def test_who_leaves_lands_in_another_team_and_is_told(team: Team, bob: User) -> None:
    client = browser_of(bob)
    client.get(reverse("home", args=[team.pk]))
    api_keys.create(team=team, actor=SYSTEM, owner=bob, name="bot", now=NOON)
    assert "1 API key (bot) stays with the team." in page_of(client, team, dialog="leave")

    answer = client.post(url("members_leave", team), follow=True)

    own = accounts.personal_team(bob)
    assert answer.redirect_chain[-1][0] == reverse("home", args=[own.pk])
    assert "You have left Larkspur Labs." in answer.content.decode()
    assert not is_in(team, bob)
    event = audit.log(team).filter(operation="LeaveTeam").get()
    assert (event.user, event.before) == (
        bob,
        {"email": bob.email, "role": "member", "permissions": []},
    )
    assert mail.outbox == []
    assert client.post(url("members_leave", team)).status_code == 404


def test_who_is_removed_while_they_leave_is_told_that_they_are_out(team: Team, bob: User) -> None:
    def remove_bob(**_: Any) -> None:
        Membership.objects.filter(team=team, user=bob).delete()

    client = browser_of(bob)
    # The door notes which team the person was in last, when it has let them in.
    post_save.connect(remove_bob, sender=User)
    try:
        answer = send(client, "members_leave", team)
    finally:
        post_save.disconnect(remove_bob, sender=User)

    assertRedirects(answer, reverse("default_team"), fetch_redirect_response=False)
    own = page_of(client, accounts.personal_team(bob), "settings")
    assert "You are no longer in Larkspur Labs." in own
    assert not audit.log(team).filter(operation="LeaveTeam").exists()


@pytest.mark.parametrize("closed", [{"is_active": False}, {"deletion_requested_at": NOON}])
def test_the_last_admin_neither_leaves_nor_is_removed_nor_demoted(
    team: Team, alice: User, closed: dict[str, Any]
) -> None:
    gone = make_admin(team)
    User.objects.filter(pk=gone.pk).update(**closed)  # Nobody to count on.
    client = browser_of(alice)

    for name, args, form in (
        ("members_leave", [], {}),
        ("members_remove", [alice.pk], {}),
        ("members_update", [alice.pk], {"role": "member"}),
    ):
        answer = client.post(url(name, team, *args), form, follow=True)
        assert "Larkspur Labs has no other admin." in answer.content.decode(), name

    assert standing(team, alice) == (Role.ADMIN, [])
    asked = page_of(client, team, dialog="leave")
    assert "You are the only admin." in asked
    assert "Account closed" in asked


def test_one_of_two_admins_may_go(team: Team, alice: User) -> None:
    other = make_admin(team)

    browser_of(alice).post(url("members_leave", team))

    assert not is_in(team, alice)
    assert standing(team, other) == (Role.ADMIN, [])


def test_whoever_is_removed_or_demoted_does_not_come_back_by_a_link_they_sent(
    team: Team, alice: User
) -> None:
    mallory = make_admin(team, name="Mallory")

    def invite(email: str, role: Membership.Role, by: User) -> None:
        accounts.invite(
            team=team,
            emails=[email],
            role=role,
            extra_permissions=[],
            actor=Actor.for_user(by),
            now=NOON,
        )

    invite("mallory-too@example.test", Role.ADMIN, mallory)
    invite("friend@example.test", Role.MEMBER, mallory)
    invite("colleague@example.test", Role.ADMIN, alice)
    acting = Actor.for_user(alice)

    accounts.update_member(
        team=team,
        user=mallory,
        role=Role.MEMBER,
        extra_permissions=[Permission.TEAM_WRITE],
        actor=acting,
        now=NOON,
    )
    left = {invitation.email for invitation in accounts.waiting_invitations(team)}
    assert left == {"friend@example.test", "colleague@example.test"}

    accounts.remove_member(team=team, user=mallory, actor=acting, now=NOON)
    left = {invitation.email for invitation in accounts.waiting_invitations(team)}
    assert left == {"colleague@example.test"}
    assert audit.log(team).filter(operation="RevokeInvitation").count() == 2


def _leaves(user: User, team: Team) -> None:
    accounts.leave_team(team=team, user=user, actor=Actor.for_user(user), now=timezone.now())


def _asks_to_be_deleted(user: User, team: Team) -> None:  # noqa: ARG001
    accounts.request_deletion(user=user, actor=Actor.for_user(user), now=timezone.now())


def _is_closed_by_support(user: User, team: Team) -> None:  # noqa: ARG001
    user.is_active = False
    user.save()


@pytest.mark.parametrize("goes", [_leaves, _asks_to_be_deleted, _is_closed_by_support])
@pytest.mark.usefixtures("alice")
def test_whoever_goes_does_not_come_back_by_a_link_they_sent(
    team: Team, goes: Callable[[User, Team], None]
) -> None:
    mallory, second = make_person("Mallory"), make_person("Mallory, too")
    Membership.objects.create(team=team, user=mallory, role=Role.ADMIN)
    send(browser_of(mallory), "members_invite", team, emails=second.email, role="admin")
    link = path_in(last_mail())

    goes(mallory, team)

    for answer in (browser_of(second).get(link), browser_of(second).post(link)):
        assert answer.status_code == 410
        assert "an admin of Larkspur Labs" in text_of(answer)
    assert not is_in(team, second)


def test_what_a_demoted_admin_sent_is_void_though_nobody_revoked_it(
    team: Team, alice: User
) -> None:
    guest = make_person()
    send(browser_of(alice), "members_invite", team, emails=guest.email, role="admin")
    link = path_in(last_mail())
    make_admin(team)

    Membership.objects.filter(team=team, user=alice).update(role=Role.MEMBER)

    answer = browser_of(guest).post(link)
    assert answer.status_code == 410
    assert "This invitation is no longer valid" in text_of(answer)
    assert not is_in(team, guest)


def test_who_is_erased_leaves_no_invitation_that_works(team: Team) -> None:
    guest, inviter = make_person(), make_person()
    Membership.objects.create(team=team, user=inviter, role=Role.ADMIN)
    asked_at = timezone.now() - accounts.GRACE
    User.objects.filter(pk=inviter.pk).update(deletion_requested_at=asked_at)
    accounts.invite(
        team=team,
        emails=[guest.email],
        role=Role.MEMBER,
        extra_permissions=[],
        actor=Actor.for_user(inviter),
        now=timezone.now(),
    )
    link = path_in(last_mail())

    accounts.erase_due(now=timezone.now())

    assert browser_of(guest).post(link).status_code == 410
    assert not is_in(team, guest)


# --- When a member was here


def test_when_a_member_was_last_here_is_kept_to_within_five_minutes(team: Team, bob: User) -> None:
    client = browser_of(bob)

    def seen() -> Any:
        return Membership.objects.get(team=team, user=bob).last_seen_at

    def visit() -> int:
        with CaptureQueriesContext(connection) as queries:
            client.get(url("settings", team))
        return sum(query["sql"].startswith('UPDATE "accounts_membership"') for query in queries)

    with time_machine.travel(NOON, tick=False) as clock:
        client.force_login(bob)
        assert visit() == 1
        clock.shift(timedelta(minutes=4))
        assert visit() == 0
        assert seen() == NOON
        clock.shift(timedelta(minutes=1))
        assert visit() == 1
        assert seen() == NOON + timedelta(minutes=5)


def test_who_is_refused_was_not_here(team: Team, bob: User) -> None:
    assert browser_of(bob).get(reverse("audit:log", args=[team.pk])).status_code == 403

    assert Membership.objects.get(team=team, user=bob).last_seen_at is None


def test_a_refused_page_leads_to_those_who_can_help(team: Team, bob: User) -> None:
    refused = browser_of(bob).get(reverse("audit:log", args=[team.pk])).content.decode()

    assert "Ask an admin of the team for it" in refused
    assert url("members", team) in refused
