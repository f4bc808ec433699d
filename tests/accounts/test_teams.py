"""Teams: making more of them, and the order in which a person meets them."""

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django.asserts import assertRedirects

from accounts import services as accounts
from accounts.actors import SYSTEM
from accounts.models import Membership, Team
from accounts.rules import Permission
from audit import services as audit
from tests.accounts.people import make_person
from tests.factories import NOON, make_team

NEW_TEAM = "/account/teams/new/"


@pytest.mark.django_db
def test_who_creates_a_team_is_its_admin_and_lands_in_it(client: Client) -> None:
    person = make_person()
    client.force_login(person)
    assert "Create a team" in client.get(NEW_TEAM).content.decode()

    answer = client.post(NEW_TEAM, {"name": "Larkspur Labs"})

    team = Team.objects.get(name="Larkspur Labs")
    assertRedirects(answer, reverse("home", args=[team.pk]), fetch_redirect_response=False)
    assert Membership.objects.get(team=team, user=person).is_admin
    assert not team.is_personal
    assert [event.operation for event in audit.log(team)] == ["CreateTeam"]


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["", "   ", "x" * 81, "nul\0"])
def test_a_team_needs_a_name_that_fits(client: Client, name: str) -> None:
    client.force_login(make_person())

    page = client.post(NEW_TEAM, {"name": name})

    assert page.status_code == 200
    assert Team.objects.filter(is_personal=False).count() == 0


@pytest.mark.django_db
def test_a_person_cannot_make_teams_without_end(client: Client) -> None:
    person = make_person()
    client.force_login(person)
    for number in range(accounts.MAX_TEAMS - 1):
        accounts.create_team(name=f"Team {number}", owner=person, actor=SYSTEM, now=NOON)

    page = client.post(NEW_TEAM, {"name": "One too many"})

    assert "You are in 50 teams" in page.content.decode()
    assert not Team.objects.filter(name="One too many").exists()


@pytest.mark.django_db
def test_who_is_added_to_a_team_is_named_in_its_log() -> None:
    team, person = make_team(), make_person()

    membership = accounts.add_member(
        team=team,
        user=person,
        role=Membership.Role.MEMBER,
        extra_permissions=[Permission.USAGE_READ],
        actor=SYSTEM,
        now=NOON,
    )

    assert Membership.objects.get(team=team) == membership
    assert Permission.USAGE_READ in membership.permissions
    [event] = audit.log(team)
    assert event.operation == "AddMember"
    assert event.after == {"email": person.email, "role": "member", "permissions": ["usage:read"]}


@pytest.mark.django_db
def test_teams_are_listed_by_name_with_the_personal_one_first() -> None:
    person = make_person("Zoe")
    for name in ("beta", "Alpha", "gamma"):
        Membership.objects.create(team=make_team(name), user=person)

    names = [membership.team.name for membership in accounts.teams_of(person)]

    assert names == ["Zoe", "Alpha", "beta", "gamma"]


@pytest.mark.django_db
def test_the_switcher_offers_every_team_one_is_in_and_no_other(client: Client) -> None:
    person = make_person()
    mine, strange = make_team("Mine"), make_team("Strange")
    Membership.objects.create(team=mine, user=person)
    client.force_login(person)

    page = client.get(NEW_TEAM).content.decode()

    assert reverse("home", args=[mine.pk]) in page
    assert reverse("home", args=[strange.pk]) not in page
    assert NEW_TEAM in page
