"""Writing into the audit log: with the change or not at all, and never again touched."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from pytest_django import DjangoAssertNumQueries

from accounts import signals
from accounts.actors import SYSTEM, Actor
from accounts.models import Team, User
from audit import services as audit
from audit.models import AuditEvent
from tests.factories import NOON, make_admin, make_team, make_user

pytestmark = pytest.mark.django_db


def record(team: Team | None, operation: str = "RenameTeam", *, seconds: int = 0) -> None:
    audit.record(
        team=team,
        actor=SYSTEM,
        operation=operation,
        description="Renamed the team",
        before={"name": "Old"},
        after={"name": "New"},
        now=NOON + timedelta(seconds=seconds),
    )


def test_an_event_keeps_who_did_what_to_which_thing_from_where() -> None:
    team = make_team()
    user = make_user("Alice Moreau")
    actor = Actor.for_user(user, ip="203.0.113.24", user_agent="Firefox\0 148")

    audit.record(
        team=team,
        actor=actor,
        operation="RenameTeam",
        description="Renamed the team",
        target_type="team",
        target_id=str(team.pk),
        target_label="New",
        before={"name": "Old"},
        after={"name": "New"},
        now=NOON,
    )

    event = audit.log(team).get()
    assert (event.actor_kind, event.actor_label, event.user) == ("user", "Alice Moreau", user)
    assert (event.ip, event.user_agent) == ("203.0.113.24", "Firefox 148")
    assert (event.target_type, event.target_id, event.target_label) == ("team", str(team.pk), "New")
    assert (event.before, event.after) == ({"name": "Old"}, {"name": "New"})
    assert (event.happened_at, event.outcome, event.is_change) == (NOON, "done", True)


def test_an_event_goes_when_the_change_it_tells_of_is_rolled_back() -> None:
    team = make_team()

    with transaction.atomic():
        record(team)
        transaction.set_rollback(True)

    assert not audit.log(team).exists()


def test_the_database_refuses_to_change_an_event() -> None:
    record(team := make_team())

    with pytest.raises(IntegrityError, match="never changed"), transaction.atomic():
        AuditEvent.of(team).update(description="Nothing happened")

    assert audit.log(team).get().description == "Renamed the team"


def test_the_database_refuses_to_delete_an_event() -> None:
    record(team := make_team())

    with pytest.raises(IntegrityError, match="never changed or deleted"), transaction.atomic():
        AuditEvent.of(team).delete()

    assert audit.log(team).count() == 1


def test_saving_an_event_again_is_refused() -> None:
    record(team := make_team())

    with pytest.raises(DatabaseError), transaction.atomic():
        audit.log(team).get().save()


def test_a_deleted_person_leaves_their_events_as_they_were() -> None:
    team = make_team()
    user = make_user("Alice Moreau")
    audit.record(
        team=team, actor=Actor.for_user(user), operation="X", description="Did it", now=NOON
    )
    user_id = user.pk

    with connection.cursor() as cursor:
        # As a deletion of the person will do it, whatever else it has to clear away before.
        cursor.execute("DELETE FROM accounts_membership WHERE user_id = %s", [user_id])
        cursor.execute("DELETE FROM accounts_user WHERE id = %s", [user_id])

    event = audit.log(team).select_related("user").get()
    assert (event.user_id, event.user) == (user_id, None)


def test_the_newest_event_comes_first_and_within_an_instant_the_last_recorded() -> None:
    team = make_team()
    record(team, "Second")
    record(team, "First", seconds=-5)
    record(team, "Third")

    assert [event.operation for event in audit.log(team)] == ["Third", "Second", "First"]


def test_recent_changes_leave_out_what_was_read_refused_or_came_to_nothing() -> None:
    team = make_team()
    record(team)
    for outcome in ("done", "denied"):
        audit.record_read(team=team, actor=SYSTEM, operation="GetTeam", outcome=outcome, now=NOON)
    audit.record(
        team=team,
        actor=SYSTEM,
        operation="BuyCredits",
        description="Tried to buy $5.00 of credits; the card was declined",
        outcome="failed",
        now=NOON,
    )

    changes = audit.recent_changes(team, limit=5)

    assert [event.operation for event in changes] == ["RenameTeam"]


def test_recent_changes_are_no_more_than_asked_for() -> None:
    team = make_team()
    for second in range(4):
        record(team, seconds=second)

    assert len(audit.recent_changes(team, limit=3)) == 3


def test_an_opened_page_costs_one_insert(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    team = make_team()

    with django_assert_num_queries(1):
        audit.record_read(team=team, actor=SYSTEM, operation="GetTeam", outcome="done", now=NOON)


def announce(team: Team | None, user: User, **news: object) -> None:
    signals.account_changed.send(
        sender=User,
        operation="Announced",
        team=team,
        actor=Actor.for_user(user),
        description="Did something",
        now=NOON,
        **({"target": user, "before": {}, "after": {}} | news),
    )


def test_news_from_accounts_become_events() -> None:
    team = make_team()
    user = make_admin(team)

    announce(team, user, before={"role": "member"}, after={"role": "admin"})

    event = audit.log(team).get()
    assert (event.target_type, event.target_id) == ("user", str(user.pk))
    assert (event.before, event.after) == ({"role": "member"}, {"role": "admin"})
    assert event.is_change


def test_news_that_change_nothing_are_not_changes() -> None:
    team = make_team()

    announce(team, make_admin(team))

    assert not audit.log(team).get().is_change


def test_news_without_a_team_are_kept_and_no_team_sees_them() -> None:
    team = make_team()
    user = make_admin(team)

    announce(None, user)

    event = AuditEvent.across_teams.get(operation="Announced")
    assert event.team is None
    assert not audit.log(team).exists()


def test_teams_do_not_see_each_others_events() -> None:
    record(make_team())

    assert not audit.log(make_team()).exists()


def test_a_page_beside_an_event_of_another_team_is_the_newest_page() -> None:
    record(other := make_team())
    team = make_team()
    record(team)
    foreign = audit.log(other).get()

    assert audit.page(team, size=5, older_than=foreign.pk) == audit.page(team, size=5)
    assert audit.page(team, size=5, older_than=uuid4()) == audit.page(team, size=5)
