"""Teams and people as staff see them in the admin: read, and warned when nobody is left."""

import logging
import re

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse

from accounts import services as accounts
from accounts.actors import Actor
from accounts.models import Invitation, Membership, Team, User
from audit import services as audit
from tests.accounts.people import last_mail, make_person, path_in
from tests.accounts.teamwork import browser_of, is_in, send, standing
from tests.clients import Browser
from tests.factories import NOON, make_admin, make_member, make_team
from tests.support.door import enter

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _staff(client: Browser) -> None:
    sam = make_person("Sam Support", is_staff=True)
    sam.user_permissions.set(Permission.objects.filter(content_type__app_label="accounts"))
    enter(client, sam)


def page_of(row: Team | User) -> str:
    return reverse(f"admin:accounts_{row._meta.model_name}_change", args=[row.pk])


def set_active(client: Browser, person: User, *, active: bool) -> str:
    page = client.get(page_of(person)).content.decode()
    form = dict(re.findall(r'type="hidden" name="(memberships-[A-Z_]+)" value="(\d+)"', page))
    assert form
    if active:
        form["is_active"] = "on"
    answer = client.post(page_of(person), form, follow=True)
    assert answer.status_code == 200
    person.refresh_from_db()
    assert person.is_active == active
    return answer.content.decode()


def test_support_reads_of_a_team_what_it_asks_and_when_it_ended(client: Browser) -> None:
    team = make_team("Larkspur")
    Team.objects.filter(pk=team.pk).update(requires_mfa=True, closed_at=NOON)

    page = client.get(page_of(team)).content.decode()

    for word in ("Requires mfa", "Closed at", "1 Mar 2026"):
        assert word in page


@pytest.mark.parametrize("page", ["team", "person"])
def test_memberships_and_teams_cannot_be_changed_in_the_admin(client: Browser, page: str) -> None:
    team = make_team("Larkspur")
    member, other = make_member(team), make_person()
    row = Membership.objects.get(user=member, team=team)
    own = Membership.objects.get(user=member, team__is_personal=True)
    rows = [row] if page == "team" else [own, row]
    form = {
        "name": "Renamed",
        "requires_mfa": "on",
        "is_active": "on",
        "memberships-TOTAL_FORMS": str(len(rows) + 1),
        "memberships-INITIAL_FORMS": str(len(rows)),
    }
    for place, membership in enumerate([*rows, None]):
        form |= {
            f"memberships-{place}-id": str(membership.pk) if membership else "",
            f"memberships-{place}-user": str(other.pk),
            f"memberships-{place}-team": str(team.pk),
            f"memberships-{place}-role": "admin",
            f"memberships-{place}-extra_permissions": "team:write",
            f"memberships-{place}-DELETE": "on",
        }

    client.post(page_of(team if page == "team" else member), form)

    team.refresh_from_db()
    assert (team.name, team.requires_mfa) == ("Larkspur", False)
    assert standing(team, member) == (Membership.Role.MEMBER, [])
    assert Membership.objects.filter(team=team).count() == 1
    assert not is_in(team, other)


def test_closing_the_last_admin_of_teams_is_done_and_warned_about(client: Browser) -> None:
    person = make_person()
    teams = [make_team(name) for name in ("Alder", "Birch", "Cedar")]
    for team in teams:
        Membership.objects.create(team=team, user=person, role=Membership.Role.ADMIN)
    make_admin(teams[-1])

    page = set_active(client, person, active=False)

    assert "Alder and Birch have no admin any more who can sign in." in page
    assert "no admin any more" not in set_active(client, person, active=True)


def test_teams_without_an_admin_who_can_sign_in_show_in_the_list(client: Browser) -> None:
    left, kept = make_team("Left"), make_team("Kept")
    gone = make_admin(left)
    make_admin(kept)
    User.objects.filter(pk=gone.pk).update(is_active=False)

    def answer(team: Team) -> str:
        page = client.get(reverse("admin:accounts_team_changelist"), {"q": team.name})
        return page.content.decode().partition("field-has_admin")[2][:120]

    assert 'alt="False"' in answer(left)
    assert 'alt="True"' in answer(kept)
    assert 'alt="False"' in client.get(page_of(left)).content.decode()


def test_who_is_closed_by_support_has_their_invitations_revoked(client: Browser) -> None:
    team, guest = make_team("Larkspur"), make_person()
    mallory = make_person("Mallory")
    Membership.objects.create(team=team, user=mallory, role=Membership.Role.ADMIN)
    send(browser_of(mallory), "members_invite", team, emails=guest.email, role="admin")
    link = path_in(last_mail())

    set_active(client, mallory, active=False)
    set_active(client, mallory, active=True)

    assert Invitation.of(team).get().revoked_at is not None
    assert audit.log(team).get(operation="RevokeInvitation").actor_kind == "staff"
    assert browser_of(guest).post(link).status_code == 410


def test_an_erasure_that_leaves_a_team_without_an_admin_is_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    team, person = make_team("Larkspur"), make_person()
    Membership.objects.create(team=team, user=person, role=Membership.Role.ADMIN)
    other = make_admin(team)
    make_member(team)
    accounts.request_deletion(user=person, actor=Actor.for_user(person), now=NOON)
    User.objects.filter(pk=other.pk).update(is_active=False)

    with caplog.at_level(logging.WARNING):
        accounts.erase_due(now=NOON + accounts.GRACE)

    assert f"Team {team.pk} has no admin any more" in caplog.text
    assert person.email not in caplog.text
