"""A team that requires a second factor: who is locked out, and what they see."""

import pytest
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts import services as accounts
from accounts.actors import Actor
from accounts.models import Team, User
from audit import services as audit
from tests.accounts.teamwork import browser_of, page_of, send, url
from tests.factories import NOON, make_admin, make_funded_team, make_member

pytestmark = pytest.mark.django_db


@pytest.fixture
def secured(alice: User) -> User:
    """Give the team's admin an authenticator app."""
    TOTP.activate(alice, "JBSWY3DPEHPK3PXP")
    return alice


def require(team: Team) -> None:
    team.requires_mfa = True
    team.save(update_fields=["requires_mfa"])


def test_who_would_be_locked_out_is_named_before(team: Team, secured: User, bob: User) -> None:
    dina = make_member(team, name="Dina Ferro")
    TOTP.activate(dina, "JBSWY3DPEHPK3PXP")
    client = browser_of(secured)

    dialog = page_of(client, team, "settings", dialog="mfa").partition('id="mfa"')[2]

    assert "1 member has no second factor." in dialog
    assert "Bob Tanaka" in dialog
    assert bob.email in dialog
    assert "Dina Ferro" not in dialog


def test_it_is_switched_on_and_off_and_the_log_has_both(team: Team, secured: User) -> None:
    client = browser_of(secured)

    for required in ("on", "on", "", ""):
        assert send(client, "settings_mfa", team, required=required).status_code == 302

    off, on = audit.log(team).filter(operation="UpdateTeam")
    assert (on.before, on.after) == ({"requires_mfa": False}, {"requires_mfa": True})
    assert (off.before, off.after) == ({"requires_mfa": True}, {"requires_mfa": False})


def test_nobody_locks_themselves_out(team: Team, alice: User) -> None:
    client = browser_of(alice)

    assert "You have none yourself" in page_of(client, team, "settings")
    send(client, "settings_mfa", team, required="on")

    team.refresh_from_db()
    assert not team.requires_mfa
    assert "would lock you out too" in page_of(client, team, "settings")


@pytest.mark.parametrize(
    "name",
    ["home", "api_keys:list", "usage:explorer", "audit:log", "billing:credits"],
)
def test_without_a_factor_every_page_says_what_is_asked_and_leads_there(name: str) -> None:
    team = make_funded_team(usd="1234")
    require(team)
    alice = make_admin(team, name="Alice Moreau")
    make_member(team, name="Bob Tanaka")
    client = browser_of(alice)
    client.get(reverse("default_team"), follow=True)
    User.objects.filter(pk=alice.pk).update(last_team=team)

    answer = client.get(reverse(name, args=[team.pk]))

    page = answer.content.decode()
    assert answer.status_code == 403
    assert "requires a second factor" in page
    assert reverse("mfa_index") in page
    # Nothing of the team, neither on the page nor in the frame around it.
    for told in ("1,234", "Bob Tanaka", f'href="{reverse("api_keys:list", args=[team.pk])}"'):
        assert told not in page
    event = audit.log(team)[0]
    assert (event.user, event.outcome) == (alice, "denied")


def test_the_frame_of_other_pages_tells_nothing_of_the_team_either() -> None:
    team = make_funded_team(usd="1234")
    require(team)
    alice = make_admin(team)
    User.objects.filter(pk=alice.pk).update(last_team=team)

    page = browser_of(alice).get(reverse("accounts:profile")).content.decode()

    assert team.name in page  # The switcher says where one is.
    assert "1,234" not in page


def test_without_a_factor_nothing_is_changed(team: Team, bob: User) -> None:
    alice = make_admin(team)
    require(team)
    client = browser_of(alice)

    for name, args, form in (
        ("members_remove", [bob.pk], {}),
        ("members_leave", [], {}),
        ("settings_mfa", [], {}),
        ("settings_rename", [], {"name": "Mine"}),
    ):
        assert client.post(url(name, team, *args), form).status_code == 403

    team.refresh_from_db()
    assert (team.name, team.requires_mfa) == ("Larkspur Labs", True)
    assert team.memberships.count() == 2


def test_with_a_factor_the_team_opens_and_recovery_codes_are_none(team: Team, alice: User) -> None:
    require(team)
    RecoveryCodes.activate(alice)
    client = browser_of(alice)
    assert client.get(reverse("home", args=[team.pk])).status_code == 403

    TOTP.activate(alice, "JBSWY3DPEHPK3PXP")

    assert client.get(reverse("home", args=[team.pk])).status_code == 200


def test_a_team_without_the_policy_costs_no_question(team: Team, secured: User) -> None:
    client = browser_of(secured)
    address = url("members", team)

    def questions() -> int:
        client.get(address)
        with CaptureQueriesContext(connection) as queries:
            client.get(address)
        return sum(
            "mfa_authenticator" in query["sql"] and "accounts_membership" not in query["sql"]
            for query in queries
        )

    before = questions()
    accounts.set_mfa_policy(team=team, required=True, actor=Actor.for_user(secured), now=NOON)

    # One at the team's door, and one for the frame around the page.
    assert questions() == before + 2
