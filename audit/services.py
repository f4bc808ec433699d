"""The only way into the audit log, and what other apps may read from it."""

from datetime import datetime
from typing import Any

from accounts.actors import Actor
from accounts.models import Team
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
    now: datetime,
) -> None:
    """Write down a change in the caller's transaction, so that neither can happen alone.

    `before` and `after` hold the fields that the change touched. No secrets, no digests.
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
        is_change=outcome == AuditEvent.Outcome.DONE,
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


def recent_changes(team: Team, *, limit: int) -> list[AuditEvent]:
    """List what was changed last, without what was only read or refused."""
    return list(log(team).filter(is_change=True)[:limit])


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
