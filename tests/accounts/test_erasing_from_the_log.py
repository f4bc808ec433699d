"""Erasing from a log that is final: names and addresses go from every event, facts stay."""

import json

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client

from accounts import services as accounts
from accounts.actors import SYSTEM, Actor
from accounts.models import Team, User
from audit import services as audit
from audit.models import AuditEvent
from tests.accounts.erasing import (
    DUE,
    EMAIL,
    HOME_IP,
    NAME,
    acting,
    ask,
    found,
    live,
)
from tests.accounts.people import make_person
from tests.factories import NOON, make_admin, make_team

pytestmark = pytest.mark.django_db


# --- Whose names go, and whose stay


def test_the_log_keeps_every_event_and_all_of_them_say_the_same_person(
    person: User, client: Client
) -> None:
    _, shared = live(person, client)
    ask(person)
    kept = list(AuditEvent.across_teams.order_by("pk").values("pk", "operation", "happened_at"))

    accounts.erase_due(now=DUE)

    for event in kept:
        assert AuditEvent.across_teams.filter(**event).exists(), event
    own = AuditEvent.across_teams.filter(user=person)
    assert {event.actor_label for event in own} == {person.pseudonym}
    assert person.pseudonym == f"Deleted account {str(person.pk)[:8]}"
    assert audit.log(shared).get(operation="AddMember").description == (
        f"Added {person.pseudonym} to the team"
    )
    invited = audit.log(shared).get(operation="InviteMember")
    assert invited.actor_label == "Bo"
    assert invited.description == f"Invited {person.pseudonym}"
    assert invited.after == {
        "email": person.pseudonym,
        "deep": [{"list": [f"to {person.pseudonym}.", person.pseudonym]}],
    }
    assert audit.log(shared).filter(operation="EraseAccount").count() == 1


@pytest.mark.parametrize("name", ["Al", "A.*b+ (c) [d] \\1 {e}^$|?", "Zoë Ünal", 'O\'Neill "q"'])
def test_names_of_any_letters_are_replaced_as_whole_words(name: str) -> None:
    user = make_person(name)
    audit.record(
        team=accounts.personal_team(user),
        actor=SYSTEM,
        operation="Note",
        description=f"{name}: Alice met ({name}).",
        now=NOON,
    )
    ask(user)

    accounts.erase_due(now=DUE)

    event = AuditEvent.across_teams.get(operation="Note")
    assert event.description == f"{user.pseudonym}: Alice met ({user.pseudonym})."


def test_of_what_they_did_with_their_account_only_what_and_when_is_kept(person: User) -> None:
    accounts.announce(
        operation="RenameSecondFactor",
        description="Renamed a passkey to Mina's phone",
        user=person,
        before={"second_factors": ["Passkey Minas old phone", "Authenticator app"], "left": 3},
        after={"sessions": [{"from": f"Quillham, {HOME_IP}"}], "is_new": True},
        actor=acting(person),
        now=NOON,
    )
    ask(person)

    accounts.erase_due(now=DUE)

    event = AuditEvent.across_teams.get(operation="RenameSecondFactor")
    assert event.description == "RenameSecondFactor"
    who = person.pseudonym
    assert (event.before, event.after) == (
        {"second_factors": [who, who], "left": 3},
        {"sessions": [{"from": who}], "is_new": True},
    )
    assert found("Mina", HOME_IP) == set()


def test_others_keep_their_names_and_addresses(person: User) -> None:
    namesake = make_admin(team := make_team("Larkspur"), NAME)
    also = User.objects.create_user(EMAIL, None, name="Her other account")
    audit.record(
        team=team,
        actor=Actor.for_user(namesake),
        operation="Greet",
        description=f"Greeted {NAME}, x{EMAIL}, {EMAIL}x and mail.{EMAIL}",
        now=NOON,
    )
    accounts.announce(
        operation="SignUp", description=f"Signed up with {EMAIL}", user=also, actor=SYSTEM, now=NOON
    )
    ask(person)

    accounts.erase_due(now=DUE)

    event = audit.log(team).get(operation="Greet")
    assert event.actor_label == NAME
    assert event.description == f"Greeted {NAME}, x{EMAIL}, {EMAIL}x and mail.{EMAIL}"
    mine = audit.log(accounts.personal_team(also)).get(operation="SignUp")
    assert mine.description == f"Signed up with {EMAIL}"
    also.refresh_from_db()
    assert also.email == EMAIL


# --- The database's own guard


def test_the_log_cannot_be_changed_in_the_name_of_an_erasure(person: User) -> None:
    stranger, own = make_person("Eve"), accounts.personal_team(person)
    ask(person)
    accounts.erase_due(now=DUE)
    event = AuditEvent.across_teams.filter(user=person).first()
    other = AuditEvent.across_teams.filter(user=stranger).first()
    assert event is not None
    assert other is not None

    def refused(sql: str, row: AuditEvent, whom: User | None, **words: list[str]) -> None:
        erasing = whom and {
            "person": str(whom.pk),
            "team": str(own.pk),
            "names": [],
            "addresses": [],
            "own_addresses": [],
            **words,
        }
        setting = json.dumps(erasing) if erasing else ""
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('console.erasing', %s, true)", [setting])
            with pytest.raises(IntegrityError, match="never changed"), transaction.atomic():
                cursor.execute(f"{sql} WHERE id = %s", [row.pk])

    update, delete = "UPDATE audit_auditevent SET", "DELETE FROM audit_auditevent"
    refused(f"{update} ip = NULL, user_agent = ''", other, None)
    refused(f"{update} ip = NULL, user_agent = ''", other, stranger)  # Who was not erased.
    refused(f"{update} actor_label = 'Nobody'", other, person)
    refused(f"{update} actor_label = 'Nobody'", event, person)
    refused(f"{update} outcome = 'failed', is_change = false", event, person)
    refused(f"{update} operation = 'Nothing'", event, person)
    refused(f"{update} happened_at = now()", event, person)
    refused(f"{update} user_id = NULL", event, person)
    refused(f"{update} description = 'x'", event, person, names=["Asked"])
    refused(delete, event, person)
    refused(delete, other, person)


def redaction(person: User, team: Team, event: AuditEvent, **words: list[str]) -> str:
    """Ask for what an erasure would do to one event; return its description afterwards."""
    erasing = json.dumps(
        {
            "person": str(person.pk),
            "team": str(team.pk),
            "names": [],
            "addresses": [],
            "own_addresses": [],
            **words,
        }
    )
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('console.erasing', %s, true)", [erasing])
        cursor.execute(
            """
            UPDATE audit_auditevent AS event SET description = made.description
            FROM audit_auditevent AS old, audit_event_redacted(old, %s::jsonb) AS made
            WHERE event.id = old.id AND old.id = %s
            """,
            [erasing, event.pk],
        )
    event.refresh_from_db()
    return event.description


def greeting(team: Team) -> AuditEvent:
    audit.record(
        team=team,
        actor=SYSTEM,
        operation="Greet",
        description=f"Greeted {NAME} at {EMAIL} and Evil Corp",
        now=NOON,
    )
    return audit.log(team).get(operation="Greet")


@pytest.mark.django_db(transaction=True)
def test_once_an_erasure_is_over_nothing_is_changed_in_its_name(person: User) -> None:
    own, event = accounts.personal_team(person), greeting(make_team())
    ask(person)
    with transaction.atomic():
        accounts.erase_due(now=DUE)
        with transaction.atomic():
            assert EMAIL not in redaction(person, own, event, own_addresses=[EMAIL])

    with pytest.raises(IntegrityError, match="never changed"), transaction.atomic():
        redaction(person, own, event, own_addresses=["Corp@example.test"], names=["Evil Corp"])
    again = greeting(make_team())
    with pytest.raises(IntegrityError, match="never changed"), transaction.atomic():
        redaction(person, own, again, own_addresses=[EMAIL])


def test_an_erasure_replaces_names_in_no_team_but_the_persons_own(person: User) -> None:
    own, others = accounts.personal_team(person), make_team("Others")
    closed = accounts.personal_team(make_person("Eve"))
    Team.objects.filter(pk=closed.pk).update(closed_at=NOON)
    ask(person)
    event, at_home = greeting(others), greeting(own)
    accounts.erase_due(now=DUE)
    kept = f"Greeted {NAME} at {person.pseudonym} and Evil Corp"

    event.refresh_from_db()
    assert event.description == kept
    for team in (others, closed):
        with pytest.raises(IntegrityError, match="never changed"), transaction.atomic():
            redaction(person, team, event, names=["Evil Corp"])
    for words in ({"own_addresses": ["Evil Corp"]}, {"addresses": ["Corp"]}):
        with pytest.raises(IntegrityError, match="never changed"), transaction.atomic():
            redaction(person, own, at_home, **words)
    event.refresh_from_db()
    assert event.description == kept


def test_people_who_were_not_erased_cannot_be_redacted(person: User) -> None:
    known = accounts.KnownAs(names=[NAME], addresses=[EMAIL], own_addresses=[EMAIL])

    with pytest.raises(IntegrityError, match="never changed"), transaction.atomic():
        audit.redact(user=person, team=accounts.personal_team(person), known=known)
