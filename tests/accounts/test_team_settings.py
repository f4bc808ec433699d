"""A team's settings: its name, and what ends when it is deleted."""

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from allauth.mfa.totp.internal.auth import TOTP
from django.core import mail
from django.db.models.signals import post_save
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import services as accounts
from accounts.actors import SYSTEM, Actor
from accounts.models import Membership, Team, User
from accounts.rules import Permission
from api_keys import services as api_keys
from audit import services as audit
from billing import services as billing
from billing.rules import ticks_from_usd
from tests.accounts.people import make_person
from tests.accounts.teamwork import browser_of, is_in, offer, page_of, send, url
from tests.factories import NOON, make_member

pytestmark = pytest.mark.django_db


def fund(team: Team, usd: str) -> None:
    billing.grant(
        team=team,
        actor=SYSTEM,
        kind=billing.GrantKind.PREPAID,
        amount_ticks=ticks_from_usd(Decimal(usd)),
        label="Funding",
        idempotency_key="funding",
        now=NOON,
    )


# --- The name


def test_a_team_is_renamed_and_the_log_has_both_names(team: Team, alice: User) -> None:
    client = browser_of(alice)

    for _ in range(2):  # The second changes nothing.
        answer = send(client, "settings_rename", team, name="  Larkspur \n Works ")
        assert answer.status_code == 302

    team.refresh_from_db()
    assert team.name == "Larkspur Works"
    event = audit.log(team).filter(operation="UpdateTeam").get()
    assert (event.before, event.after) == ({"name": "Larkspur Labs"}, {"name": "Larkspur Works"})
    assert "The team is called Larkspur Works." in page_of(client, team, "settings")


@pytest.mark.parametrize("name", ["", "  ", "x" * 81, "Lark\u202espur", "nul\0"])
def test_a_name_that_is_none_is_refused_beside_what_was_typed(
    team: Team, alice: User, name: str
) -> None:
    answer = send(browser_of(alice), "settings_rename", team, name=name)

    assert answer.status_code == 200
    assert 'aria-invalid="true"' in answer.content.decode()
    team.refresh_from_db()
    assert team.name == "Larkspur Labs"


def test_a_personal_team_can_be_renamed_but_not_left_or_deleted(client: Client) -> None:
    person = make_person("Zoe")
    own = accounts.personal_team(person)
    client.force_login(person)

    page = page_of(client, own, "settings", dialog="delete")
    send(client, "settings_rename", own, name="Zoe's bench")

    assert str(own.pk) in page
    for words in ("Leave team", "Delete team", "Second factor"):
        assert words not in page
    assert "It is deleted with your account" in page
    assert f'href="{reverse("accounts:delete")}"' in page
    own.refresh_from_db()
    assert own.name == "Zoe's bench"


def test_a_member_sees_the_settings_and_changes_none(team: Team, bob: User) -> None:
    page = page_of(browser_of(bob), team, "settings")

    assert str(team.pk) in page
    assert "Leave team" in page
    for words in ("Save name", "Delete team", "Require a second factor"):
        assert words not in page


def test_no_two_elements_of_the_page_have_one_id(team: Team, alice: User) -> None:
    TOTP.activate(alice, "JBSWY3DPEHPK3PXP")

    page = page_of(browser_of(alice), team, "settings", dialog="mfa")

    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))


# --- Deleting


def test_deleting_says_before_what_stops_what_stays_and_how_much_is_lost(
    team: Team, alice: User
) -> None:
    fund(team, "12.50")
    api_keys.create(team=team, actor=SYSTEM, owner=alice, name="web", now=NOON)

    page = page_of(browser_of(alice), team, "settings", dialog="delete")

    for sentence in (
        "$12.50 of credits are forfeited.",
        "1 API key (web) stops at once.",
        "Type <code>Larkspur Labs</code> to confirm",
        "stay on record with support",
    ):
        assert sentence in page


def test_a_deleted_team_is_gone_for_everybody_and_its_members_are_told(
    team: Team, alice: User, bob: User
) -> None:
    fund(team, "12.50")
    api_keys.create(team=team, actor=SYSTEM, owner=bob, name="web", now=NOON)
    offer(team)
    mail.outbox.clear()
    client = browser_of(alice)
    client.get(reverse("home", args=[team.pk]))

    answer = client.post(url("settings_delete", team), {"confirm": "Larkspur Labs"}, follow=True)

    own = accounts.personal_team(alice)
    assert answer.redirect_chain[-1][0] == reverse("home", args=[own.pk])
    assert "Larkspur Labs is deleted." in answer.content.decode()
    for user in (alice, bob):
        browser = browser_of(user)
        for name in ("home", "api_keys:list", "billing:credits", "audit:log"):
            assert browser.get(reverse(name, args=[team.pk])).status_code == 404
        for name in ("members", "settings"):
            assert browser.get(url(name, team)).status_code == 404
        assert (
            "Larkspur Labs"
            not in browser.get(
                reverse("home", args=[accounts.personal_team(user).pk])
            ).content.decode()
        )
    assert api_keys.living(team) == []
    assert billing.balance(team, now=timezone.now()).available_ticks == 0
    assert not accounts.waiting_invitations(team).exists()
    assert sorted(message.to[0] for message in mail.outbox) == sorted([alice.email, bob.email])
    assert "Alice Moreau deleted the team Larkspur Labs" in str(mail.outbox[0].body)
    operations = [event.operation for event in audit.log(team)]
    for operation in ("DeleteTeam", "DeleteApiKey", "CloseBillingAccount"):
        assert operation in operations
    deletion = audit.log(team).get(operation="DeleteTeam", is_change=True)
    assert deletion.before == {"name": "Larkspur Labs", "members": 2}
    assert "$12.50 of credits are forfeited." in str(deletion.after)


@pytest.mark.parametrize("typed", ["", "larkspur labs", "Larkspur"])
def test_only_who_types_the_name_deletes_the_team(team: Team, alice: User, typed: str) -> None:
    answer = send(browser_of(alice), "settings_delete", team, confirm=typed)

    page = answer.content.decode()
    assert answer.status_code == 200
    assert 'id="delete"' in page
    assert ("is not the team&#x27;s name." if typed else "Type the team&#x27;s name.") in page
    assert is_in(team, alice)


def test_deleting_twice_is_a_404_and_happens_once(team: Team, alice: User) -> None:
    client = browser_of(alice)
    send(client, "settings_delete", team, confirm=team.name)

    assert send(client, "settings_delete", team, confirm=team.name).status_code == 404
    with pytest.raises(accounts.TeamClosedError):
        accounts.delete_team(team=team, actor=Actor.for_user(alice), now=NOON)

    assert audit.log(team).filter(operation="DeleteTeam", is_change=True).count() == 1


def test_a_team_that_is_deleted_while_it_is_changed_is_a_404(team: Team, alice: User) -> None:
    def close(**_: Any) -> None:
        Team.objects.filter(pk=team.pk).update(closed_at=NOON)

    client = browser_of(alice)
    # The door notes which team the person was in last, when it has let them in.
    post_save.connect(close, sender=User)
    try:
        answer = send(client, "settings_rename", team, name="Late")
    finally:
        post_save.disconnect(close, sender=User)

    assert answer.status_code == 404
    team.refresh_from_db()
    assert team.name == "Larkspur Labs"


def test_only_an_admin_deletes_the_team(team: Team) -> None:
    deputy = make_member(team, extra=list(Permission))
    client = browser_of(deputy)

    answer = send(client, "settings_delete", team, confirm=team.name)

    assert answer.status_code == 403
    assert "Only an admin of the team can delete it." in answer.content.decode()
    assert "Delete team" not in page_of(client, team, "settings", dialog="delete")
    assert is_in(team, deputy)


@pytest.mark.parametrize("name", ["settings_delete", "settings_mfa"])
def test_what_is_grave_asks_who_it_is_after_a_while(team: Team, alice: User, name: str) -> None:
    answer = send(browser_of(alice, age=3600), name, team, confirm=team.name, required="on")

    assert answer.headers["Location"].startswith(reverse("account_reauthenticate"))
    team.refresh_from_db()
    assert (team.closed_at, team.requires_mfa) == (None, False)


def test_nothing_is_made_in_a_team_that_was_deleted_meanwhile(team: Team, alice: User) -> None:
    acting = Actor.for_user(alice)
    accounts.delete_team(team=team, actor=acting, now=NOON)

    for act in (
        lambda: api_keys.create(team=team, actor=acting, owner=alice, name="late", now=NOON),
        lambda: fund(team, "5"),
        lambda: offer(team),
        lambda: accounts.rename_team(team=team, name="X", actor=acting, now=NOON),
        lambda: accounts.add_member(
            team=team, user=make_person(), role=Membership.Role.ADMIN, actor=SYSTEM, now=NOON
        ),
    ):
        with pytest.raises(accounts.TeamClosedError):
            act()

    assert api_keys.living(team) == []


def test_who_leaves_a_deleted_team_behind_is_led_to_another(team: Team, alice: User) -> None:
    client = browser_of(alice)
    client.get(reverse("home", args=[team.pk]))
    accounts.close_team(team=team, actor=SYSTEM, now=NOON + timedelta(days=1))

    answer = client.get(reverse("default_team"), follow=True)

    own = accounts.personal_team(alice)
    assert answer.redirect_chain[-1][0] == reverse("home", args=[own.pk])
