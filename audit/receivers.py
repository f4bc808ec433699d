"""What the audit log hears from accounts, which stands below it and may not call it."""

from datetime import datetime
from typing import Any

from django.db.models import Model
from django.dispatch import receiver

from accounts.actors import Actor
from accounts.models import Team, User
from accounts.services import EVENTS_IN_COPY, KnownAs
from accounts.signals import (
    account_changed,
    person_erased,
    personal_data_asked,
    team_page_opened,
)
from audit import services as audit


@receiver(team_page_opened)
def record_page(
    *, operation: str, team: Team, actor: Actor, outcome: str, now: datetime, **_: Any
) -> None:
    """Write one event for every GET that the door of a team answered or refused.

    A part that htmx fetches counts like a page: Older shows rows that the page before did not.
    Nothing is left out or counted together, because a rule of what is too small to mention is a
    place to hide. An event that cannot be written fails the page: no reading without a trace.
    """
    audit.record_read(team=team, actor=actor, operation=operation, outcome=outcome, now=now)


@receiver(account_changed)
def record_account_change(
    *,
    operation: str,
    team: Team | None,
    actor: Actor,
    description: str,
    now: datetime,
    target: Model | str | None = None,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    outcome: str = "done",
    **_: Any,
) -> None:
    """Write down a change of a person or a team. Without a team, no team's log shows it."""
    row = target if isinstance(target, Model) else None
    audit.record(
        team=team,
        actor=actor,
        operation=operation,
        description=description,
        target_type=str(row._meta.verbose_name) if row else "",  # noqa: SLF001 -- public in Django
        target_id=str(row.pk) if row else "",
        target_label=str(target or ""),
        # A signal's sender says {} for "nothing to compare".
        before=before or None,
        after=after or None,
        outcome=outcome,
        is_change=bool(before or after),
        now=now,
    )


@receiver(personal_data_asked)
def tell_what_a_person_did(*, user: User, **_: Any) -> dict[str, Any]:
    events, is_cut = audit.events_of(user, limit=EVENTS_IN_COPY)
    told: dict[str, Any] = {"audit_events": events}
    if is_cut:
        told["audit_events_note"] = (
            f"These are the newest {EVENTS_IN_COPY:,} events. Ask support for older ones."
        )
    return told


@receiver(person_erased)
def redact_events(*, user: User, team: Team, known: KnownAs, **_: Any) -> None:
    audit.redact(user=user, team=team, known=known)
