"""Alerts as tests set them."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from accounts.actors import SYSTEM, Actor
from accounts.models import Team, User
from tests.factories import NOON
from usage import services as usage
from usage.models import UsageAlert
from usage.rules import TICKS_PER_USD

HOUR = timedelta(hours=1)


def usd(amount: float) -> int:
    return round(amount * TICKS_PER_USD)


def terms(amount: float = 50, **fields: Any) -> usage.AlertTerms:
    usual: dict[str, Any] = {"watched": "", "value": "", "per": "day", "to_admins": False}
    return usage.AlertTerms(limit_ticks=usd(amount), **usual | fields)


def set_alert(
    team: Team,
    owner: User,
    amount: float = 50,
    *,
    alert_id: UUID | None = None,
    now: datetime = NOON - HOUR,
    **fields: Any,
) -> UsageAlert:
    return usage.create_alert(
        team=team,
        actor=Actor.for_user(owner),
        owner=owner,
        terms=terms(amount, **fields),
        alert_id=alert_id or uuid4(),
        now=now,
    )


def change(alert: UsageAlert, amount: float, *, now: datetime, **fields: Any) -> None:
    alert.refresh_from_db()
    usage.edit_alert(
        team=alert.team,
        actor=SYSTEM,
        alert_id=alert.pk,
        terms=terms(amount, **fields),
        seen_at=alert.modified_at,
        now=now,
    )
