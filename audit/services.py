"""The only way into the audit log, and what other apps may read from it."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Q

from accounts.actors import Actor
from accounts.models import Team, User
from accounts.services import KnownAs
from audit import rules
from audit.models import AuditEvent, AuditEventQuerySet


def record(  # noqa: PLR0913 -- an event is all of this, and every caller names what it knows
    *,
    team: Team | None,
    actor: Actor,
    operation: str,
    description: str,
    target_type: str = "",
    target_id: str = "",
    target_label: str = "",
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    outcome: str = AuditEvent.Outcome.DONE,
    is_change: bool = True,
    now: datetime,
) -> None:
    """Write down a change in the caller's transaction, so that neither can happen alone.

    `before` and `after` hold the fields that the change touched. No secrets, no digests.
    `is_change` is false for what leaves everything as it was, such as a sign-in.
    """
    _write(
        team,
        actor,
        operation=operation,
        description=description,
        target_type=target_type,
        target_id=target_id,
        target_label=target_label,
        before=before,
        after=after,
        outcome=outcome,
        # What was refused or went wrong has changed nothing.
        is_change=is_change and outcome == AuditEvent.Outcome.DONE,
        happened_at=now,
    )


def record_read(*, team: Team, actor: Actor, operation: str, outcome: str, now: datetime) -> None:
    """Write down that somebody opened a page, or was refused: one INSERT."""
    was_done = outcome == AuditEvent.Outcome.DONE
    _write(
        team,
        actor,
        operation=operation,
        description=rules.sentence(operation, was_done=was_done),
        outcome=outcome,
        is_change=False,
        happened_at=now,
    )


def log(team: Team) -> AuditEventQuerySet:
    """Everything the team may read about itself, newest first."""
    return AuditEvent.of(team).newest_first()


@dataclass(frozen=True, slots=True)
class LogPage:
    """Some events in a row, newest first, and whether the log goes on either side of them."""

    events: list[AuditEvent]
    has_newer: bool
    has_older: bool


def page(
    team: Team, *, size: int, older_than: UUID | None = None, newer_than: UUID | None = None
) -> LogPage:
    """Cut one page out of the log, beside an event that the reader has seen.

    Pages are found by an event rather than by a number: events come in while one reads, and the
    thousandth page must cost what the first does. An unknown event leads to the newest page.
    """
    beside = older_than or newer_than
    seen = AuditEvent.of(team).filter(pk=beside).first() if beside else None
    if seen and newer_than:
        newer = list(AuditEvent.of(team).newer_than(seen).oldest_first()[: size + 1])
        if len(newer) > size:
            return LogPage(newer[size - 1 :: -1], has_newer=True, has_older=True)
        seen = None  # The newest page, and then all of it.
    events = log(team).older_than(seen) if seen else log(team)
    found = list(events[: size + 1])
    return LogPage(found[:size], has_newer=seen is not None, has_older=len(found) > size)


def recent_changes(team: Team, *, limit: int) -> list[AuditEvent]:
    """List what was changed last, without what was only read or refused."""
    return list(log(team).filter(is_change=True)[:limit])


def changes_of(team: Team, *, target_type: str, target_id: str, limit: int) -> list[AuditEvent]:
    """List what was changed last of one thing."""
    changes = log(team).filter(is_change=True, target_type=target_type, target_id=target_id)
    return list(changes[:limit])


# --- A person's own rows ----------------------------------------------------------------------


def events_of(user: User, *, limit: int) -> tuple[list[dict[str, Any]], bool]:
    """List what a person did, newest first, and say whether there is more than that."""
    rows = AuditEvent.across_teams.filter(user=user).order_by("-happened_at", "-id")
    columns = ("id", "happened_at", "team__name", "operation", "description", "outcome")
    events = list(rows.values(*columns, "ip", "user_agent")[: limit + 1])
    for event in events:
        event["team"] = event.pop("team__name")
    return events[:limit], len(events) > limit


def count_of(user: User, operation: str, *, since: datetime) -> int:
    """Count how often a person has done something since then, in whichever teams."""
    done = AuditEvent.across_teams.filter(user=user, outcome=AuditEvent.Outcome.DONE)
    return done.filter(operation=operation, happened_at__gt=since).count()


def redact(*, user: User, team: Team, known: KnownAs) -> None:
    """Put a pseudonym where an erased person stands in events, their own and those about them.

    In the transaction that erases the person; `team` is the personal one. What becomes of a row is
    decided in the database, whose trigger admits nothing else.
    """
    erasing = json.dumps(
        {
            "person": str(user.pk),
            "team": str(team.pk),
            "names": [*known.names, *_called(user)],
            "addresses": known.addresses,
            "own_addresses": known.own_addresses,
        }
    )
    mentions = [f"%{_like(address)}%" for address in known.own_addresses]
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('console.erasing', %s, true)", [erasing])
        cursor.execute(
            """
            UPDATE audit_auditevent AS event
            SET (description, actor_label, target_label, ip, user_agent, before, after) = (
                SELECT description, actor_label, target_label, ip, user_agent, before, after
                FROM audit_event_redacted(event, %s::jsonb)
            )
            WHERE user_id = %s OR target_id = %s OR team_id = %s
                OR concat(description, target_label, before, after) ILIKE ANY (%s::text[])
            """,
            [erasing, user.pk, str(user.pk), team.pk, mentions],
        )
        cursor.execute("SELECT set_config('console.erasing', '', true)")


def _called(user: User) -> set[str]:
    """Find every name that the person had in events, also those before they changed it."""
    own = AuditEvent.across_teams.filter(user=user).values_list("actor_label", flat=True)
    about = AuditEvent.across_teams.filter(target_id=str(user.pk))
    names = {*own.distinct(), *about.values_list("target_label", flat=True).distinct()}
    profiles = about.filter(Q(before__has_key="name") | Q(after__has_key="name"))
    for before, after in profiles.values_list("before", "after"):
        names |= {str((before or {}).get("name", "")), str((after or {}).get("name", ""))}
    return names - {"", user.pseudonym}


def _like(text: str) -> str:
    """Take a text literally in a LIKE pattern."""
    return text.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")


def _write(team: Team | None, actor: Actor, **fields: Any) -> None:
    AuditEvent(
        team=team,
        actor_kind=actor.kind,
        actor_label=actor.label,
        user=actor.user,
        key_id=actor.key_id,
        ip=actor.ip,
        # The one text that a stranger words freely, and PostgreSQL stores no NUL.
        user_agent=actor.user_agent.replace("\0", ""),
        **fields,
    ).save(force_insert=True)
