"""The members of a team: who sees what of them, and who may change what others may do."""

import re

import pytest
from allauth.mfa.totp.internal.auth import TOTP
from django.core import mail
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django.asserts import assertRedirects

from accounts import services as accounts
from accounts.actors import Actor
from accounts.models import Membership, Team, User
from accounts.rules import Permission
from audit import services as audit
from tests.accounts.people import make_person
from tests.accounts.teamwork import browser_of, html_of, is_in, page_of, standing, url
from tests.factories import NOON, make_admin, make_member, make_team

pytestmark = pytest.mark.django_db

Role = Membership.Role


# --- Seeing


def test_a_member_sees_who_is_in_the_team_and_as_what_but_not_how_they_protect_themselves(
    team: Team, alice: User, bob: User
) -> None:
    make_member(team, extra=[Permission.USAGE_READ, Permission.BILLING_WRITE], name="Dina")
    TOTP.activate(alice, "JBSWY3DPEHPK3PXP")

    as_bob, as_alice = (page_of(browser_of(user), team) for user in (bob, alice))

    for page in (as_bob, as_alice):
        assert alice.email in page
        assert "Change billing, and see usage" in page
    for heading in ("Second factor", "Last seen"):
        assert heading in as_alice
        assert heading not in as_bob
    assert as_alice.count('data-tone="good">On<') == 1
    assert "Invite people" in as_alice
    assert "Invite people" not in as_bob
    assert "dialog=change" not in as_bob
    assert "dialog=leave" in as_bob


def test_a_large_team_is_searched_and_paged(team: Team, alice: User) -> None:
    for number in range(60):
        make_member(team, name=f"Member {number:02}")
    client = browser_of(alice)

    first, second = page_of(client, team), page_of(client, team, page="2")
    found = page_of(client, team, q="member 33")
    nobody = page_of(client, team, q="Zarathustra")

    assert "1 to 50 of 61" in first
    assert "page=2" in first
    assert "51 to 61 of 61" in second
    assert "Member 33" in found
    assert "Member 34" not in found
    assert "Nobody found" in nobody
    assert page_of(client, team, q="nul\0", page="x")


def test_searching_keeps_what_was_searched_for_on_the_next_page(team: Team, alice: User) -> None:
    for number in range(55):
        make_member(team, name=f"Robot {number:02}")

    page = page_of(browser_of(alice), team, q="robot")

    assert "?q=robot&amp;page=2" in page


def test_many_members_and_invitations_cost_no_more_queries_than_few(
    team: Team, alice: User
) -> None:
    make_member(team)
    client = browser_of(alice)
    acting = Actor.for_user(alice)

    def invite(number: int) -> None:
        accounts.invite(
            team=team,
            emails=[f"guest-{number}@example.test"],
            role=Role.MEMBER,
            extra_permissions=[Permission.USAGE_READ],
            actor=acting,
            now=NOON,
        )

    invite(0)
    page_of(client, team)
    with CaptureQueriesContext(connection) as few:
        page_of(client, team)
    for number in range(1, 25):
        make_member(team, extra=[Permission.BILLING_READ])
        invite(number)

    with CaptureQueriesContext(connection) as many:
        page_of(client, team)

    assert len(many) == len(few)


def test_htmx_gets_the_list_and_its_dialogs_alone(team: Team, alice: User, bob: User) -> None:
    headers = {"HX-Request": "true", "HX-Target": "members"}

    part = browser_of(alice).get(
        url("members", team), {"dialog": "remove", "member": str(bob.pk)}, headers=headers
    )

    page = part.content.decode()
    assert page.lstrip().startswith('<div id="members"')
    assert "Remove Bob Tanaka" in page


def test_a_personal_team_says_whose_it_is_and_offers_a_team_for_others(client: Client) -> None:
    person = make_person("Zoe")
    own = accounts.personal_team(person)
    client.force_login(person)

    page = page_of(client, own, dialog="leave")

    assert "This team is yours alone" in page
    assert reverse("accounts:new_team") in page
    assert "Invite people" not in page
    assert "Leave team" not in page


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("members_invite", {"emails": "x@example.test", "role": "member"}),
        ("members_leave", {}),
        ("settings_mfa", {"required": "on"}),
        ("settings_delete", {"confirm": "Zoe"}),
    ],
)
def test_nobody_is_let_into_or_out_of_a_personal_team(
    client: Client, name: str, form: dict[str, str]
) -> None:
    person = make_person("Zoe")
    own = accounts.personal_team(person)
    client.force_login(person)

    answer = client.post(url(name, own), form)

    assert answer.status_code == 403
    assert "Zoe is the personal team of one account" in answer.content.decode()
    own.refresh_from_db()
    assert is_in(own, person)
    assert not own.requires_mfa
    assert own.closed_at is None
    assert mail.outbox == []


# --- Changing


def test_an_admin_changes_a_role_and_single_permissions_and_the_log_has_both_sides(
    team: Team, alice: User, bob: User
) -> None:
    client = browser_of(alice)
    asked = page_of(client, team, dialog="change", member=str(bob.pk))
    assert "Change the role of Bob Tanaka" in asked

    answer = client.post(
        url("members_update", team, bob.pk),
        {"role": "member", "billing": "billing:write", "usage": "usage:read"},
    )

    assertRedirects(answer, url("members", team), fetch_redirect_response=False)
    assert standing(team, bob) == (Role.MEMBER, ["billing:write", "usage:read"])
    event = audit.log(team).filter(operation="UpdateMember").get()
    assert event.before == {"email": bob.email, "role": "member", "permissions": []}
    assert event.after == {
        "email": bob.email,
        "role": "member",
        "permissions": ["billing:write", "usage:read"],
    }
    assert event.user == alice
    [message] = mail.outbox
    assert message.to == [bob.email]
    assert "a member who may also change billing, and see usage" in str(message.body)
    assert "Alice Moreau changed" in html_of(message)


def test_saving_what_is_there_already_changes_and_tells_nothing(
    team: Team, alice: User, bob: User
) -> None:
    client = browser_of(alice)
    form = {"role": "member", "usage": "usage:read"}

    for _ in range(2):
        client.post(url("members_update", team, bob.pk), form)

    assert audit.log(team).filter(operation="UpdateMember").count() == 1
    assert len(mail.outbox) == 1


def test_single_permissions_are_of_no_account_to_an_admin_and_do_not_outlive_it(
    team: Team, alice: User, bob: User
) -> None:
    client = browser_of(alice)

    client.post(url("members_update", team, bob.pk), {"role": "admin", "billing": "billing:write"})

    assert standing(team, bob) == (Role.ADMIN, [])


@pytest.mark.parametrize(
    "form",
    [
        {"role": "owner"},
        {"role": "member", "billing": "billing:everything"},
        {"role": "member", "usage": "billing:write"},
        {"role": "member", "audit": "audit"},
    ],
)
def test_roles_and_permissions_that_do_not_exist_are_refused(
    team: Team, alice: User, bob: User, form: dict[str, str]
) -> None:
    client = browser_of(alice)

    change = client.post(url("members_update", team, bob.pk), form)
    invitation = client.post(url("members_invite", team), {"emails": "eve@example.test", **form})

    assert change.status_code == invitation.status_code == 400
    assert standing(team, bob) == (Role.MEMBER, [])
    assert not accounts.waiting_invitations(team).exists()


def test_a_form_carries_nothing_but_the_role_and_the_permissions(
    team: Team, alice: User, bob: User
) -> None:
    elsewhere = make_team()
    joined_at = Membership.objects.get(team=team, user=bob).joined_at

    browser_of(alice).post(
        url("members_update", team, bob.pk),
        {
            "role": "member",
            "extra_permissions": "audit:write",
            "permissions": "audit:write",
            "user": str(alice.pk),
            "team_id": str(elsewhere.pk),
            "joined_at": "2020-01-01",
            "is_staff": "on",
        },
    )

    assert standing(team, bob) == (Role.MEMBER, [])
    assert Membership.objects.get(team=team, user=bob).joined_at == joined_at
    bob.refresh_from_db()
    assert not bob.is_staff
    assert not Membership.objects.filter(team=elsewhere).exists()


def test_who_may_change_the_team_gives_what_they_have_and_no_more(team: Team, bob: User) -> None:
    held = [Permission.TEAM_WRITE, Permission.USAGE_READ]
    deputy = make_member(team, extra=held, name="Dina")
    client, change = browser_of(deputy), url("members_update", team, bob.pk)

    given = client.post(change, {"role": "member", "usage": "usage:read"})
    beyond = client.post(change, {"role": "member", "audit": "audit:read"})
    billing = client.post(
        change, {"role": "member", "usage": "usage:read", "billing": "billing:read"}
    )
    admin = client.post(change, {"role": "admin"})

    assert given.status_code == 302
    assert [a.status_code for a in (beyond, billing, admin)] == [403, 403, 403]
    assert "You have no permission to see the audit log." in beyond.content.decode()
    assert "You have no permission to see billing." in billing.content.decode()
    assert "Only an admin of the team can make somebody an admin" in admin.content.decode()
    assert standing(team, bob) == (Role.MEMBER, ["usage:read"])


def test_the_dialog_offers_what_its_reader_can_give(team: Team, alice: User, bob: User) -> None:
    deputy = make_member(team, extra=[Permission.TEAM_WRITE, Permission.USAGE_READ])
    Membership.objects.filter(user=bob, team=team).update(extra_permissions=["audit:read"])
    asked = {"dialog": "change", "member": str(bob.pk)}

    for_deputy = page_of(browser_of(deputy), team, **asked).partition('id="change"')[2]
    for_alice = page_of(browser_of(alice), team, **asked).partition('id="change"')[2]

    for value in ("admin", "billing:read", "billing:write"):
        assert f'value="{value}"' in for_alice
        assert f'value="{value}"' not in for_deputy
    assert 'value="usage:read"' in for_deputy
    # What they cannot take away stays chosen, and cannot be unchosen.
    assert re.search(r'value="audit:read"[^>]* checked', for_deputy)
    assert for_deputy.count('name="audit"') == 1


def test_no_permission_is_offered_that_opens_nothing(team: Team, alice: User, bob: User) -> None:
    page = page_of(browser_of(alice), team, dialog="change", member=str(bob.pk))

    for value in ("team:write", "usage:write"):
        assert f'value="{value}"' in page
    assert 'value="audit:write"' not in page


def test_no_two_fields_of_the_page_have_one_id(team: Team, alice: User, bob: User) -> None:
    page = page_of(browser_of(alice), team, dialog="change", member=str(bob.pk))

    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_what_an_admin_gave_only_who_has_it_takes_away(team: Team, bob: User) -> None:
    Membership.objects.filter(user=bob, team=team).update(extra_permissions=["audit:read"])
    deputy = make_member(team, extra=[Permission.TEAM_WRITE])

    answer = browser_of(deputy).post(url("members_update", team, bob.pk), {"role": "member"})

    assert answer.status_code == 403
    assert standing(team, bob) == (Role.MEMBER, ["audit:read"])


def test_nobody_promotes_themselves(team: Team) -> None:
    deputy = make_member(team, extra=[Permission.TEAM_WRITE])
    client = browser_of(deputy)

    for form in (
        {"role": "admin"},
        {"role": "member", "team": "team:write", "audit": "audit:read"},
    ):
        answer = client.post(url("members_update", team, deputy.pk), form)
        assert answer.status_code == 403

    assert standing(team, deputy) == (Role.MEMBER, ["team:write"])


def test_a_member_without_the_permission_changes_nobody_even_by_the_service(
    team: Team, alice: User, bob: User
) -> None:
    acting = Actor.for_user(bob)

    with pytest.raises(accounts.NotPermittedError, match="permission to change the team"):
        accounts.remove_member(team=team, user=alice, actor=acting, now=NOON)
    with pytest.raises(accounts.NotPermittedError):
        accounts.update_member(
            team=team,
            user=bob,
            role=Role.ADMIN,
            extra_permissions=[],
            actor=acting,
            now=NOON,
        )

    assert is_in(team, alice)
    assert standing(team, bob) == (Role.MEMBER, [])


def test_who_was_removed_meanwhile_changes_nothing_any_more(team: Team, bob: User) -> None:
    other = make_admin(team)
    Membership.objects.filter(user=other, team=team).delete()

    with pytest.raises(accounts.NotPermittedError, match="no longer in Larkspur Labs"):
        accounts.remove_member(team=team, user=bob, actor=Actor.for_user(other), now=NOON)

    assert is_in(team, bob)


def test_only_an_admin_changes_or_removes_an_admin(team: Team, alice: User) -> None:
    make_admin(team)
    deputy = make_member(team, extra=[p for p in Permission if p.area != "collections"])
    client = browser_of(deputy)

    demotion = client.post(url("members_update", team, alice.pk), {"role": "member"})
    removal = client.post(url("members_remove", team, alice.pk))

    assert demotion.status_code == removal.status_code == 403
    assert standing(team, alice) == (Role.ADMIN, [])
    page = page_of(client, team, dialog="remove", member=str(alice.pk))
    assert "Remove Alice" not in page
