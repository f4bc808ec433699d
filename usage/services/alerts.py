"""Alerts as people keep them: set, changed, listed and deleted."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

from django.db import transaction
from django.db.models import Max, Q

from accounts import services as accounts
from accounts.actors import Actor
from accounts.models import Membership, Team, User
from accounts.rules import Permission
from api_keys import services as api_keys
from audit import services as audit
from billing import services as billing
from usage import stores
from usage.models import UsageAlert
from usage.rules import TICKS_PER_USD, Dimension

MOST_ALERTS: Final = 50
MOST_TICKS: Final = 10**8 * TICKS_PER_USD  # A hundred million dollars.
MODELS_LOOKED_AT: Final = 1000
Watched, Per = UsageAlert.Watched, UsageAlert.Per


class AlertTermsError(Exception):
    """An alert could not be what was asked for; `field` says where that shows."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


class TooManyAlertsError(Exception):
    """The team has as many alerts as a team can have."""

    def __init__(self) -> None:
        super().__init__(
            f"This team has {MOST_ALERTS} alerts, the most that it can have. Delete one first."
        )


class AlertChangedError(Exception):
    """Somebody changed the alert after it was read."""

    def __init__(self) -> None:
        super().__init__(
            "This alert was changed after this form was opened. Close it, look at what the alert "
            "is like now, and edit it again."
        )


class NoAlertError(Exception):
    """The team has no such alert, any more."""


@dataclass(frozen=True, slots=True)
class AlertTerms:
    """What an alert watches, and from which cost on it tells whom besides its owner."""

    watched: str
    value: str  # An API key's id or a model's name; nothing for the team.
    per: str
    limit_ticks: int
    to_admins: bool


@dataclass(frozen=True, slots=True)
class ShownAlert:
    """An alert with the words that a page needs."""

    alert: UsageAlert
    name: str  # Of the key or model.
    is_deleted: bool  # The key is.
    is_on: bool  # Its owner may see usage here.
    told_at: datetime | None


def alerts(team: Team) -> list[ShownAlert]:
    """List the team's alerts, in the order in which they were set."""
    rows = UsageAlert.of(team).select_related("owner").order_by("created_at", "pk")
    shown = list(rows.annotate(told_at=Max("mails__sent_at")))
    keys = api_keys.named_keys(team, watched_keys(shown))
    may_read = {membership.user_id for membership in readers(team)}
    return [
        ShownAlert(
            alert,
            keys[UUID(alert.value)].name if alert.watched == Watched.API_KEY else alert.value,
            alert.watched == Watched.API_KEY and keys[UUID(alert.value)].is_deleted,
            alert.owner_id in may_read,
            alert.told_at,
        )
        for alert in shown
    ]


def readers(team: Team) -> list[Membership]:
    """List who can be counted on in the team and may see its usage."""
    present = Membership.objects.filter(team=team, user__in=User.objects.present())
    memberships = present.select_related("user").order_by("joined_at", "pk")
    return [one for one in memberships if Permission.USAGE_READ in one.permissions]


def watched_keys(found: Iterable[UsageAlert]) -> set[UUID]:
    return {UUID(alert.value) for alert in found if alert.watched == Watched.API_KEY}


@transaction.atomic
def create_alert(
    *,
    team: Team,
    actor: Actor,
    owner: User,
    terms: AlertTerms,
    alert_id: UUID,
    now: datetime,
) -> UsageAlert:
    """Have `owner` mailed from now on. A form that is sent twice, known by its id, sets one alert.

    Raises AlertTermsError and TooManyAlertsError.
    """
    team = accounts.lock_team(team)
    known = UsageAlert.of(team).filter(pk=alert_id).first()
    if known:
        return known
    _check(team, terms)
    if UsageAlert.of(team).count() >= MOST_ALERTS:
        raise TooManyAlertsError
    if UsageAlert.across_teams.filter(pk=alert_id).exists():  # Of a form that another team used.
        alert_id = uuid4()
    alert = UsageAlert(
        id=alert_id,
        team=team,
        owner=owner,
        created_at=now,
        modified_at=now,
        since=now,
        **_columns(terms),
    )
    alert.save(force_insert=True)
    _record(alert, actor, "CreateUsageAlert", "Set", after=_facts(alert), now=now)
    return alert


@transaction.atomic
def edit_alert(
    *,
    team: Team,
    actor: Actor,
    alert_id: UUID,
    terms: AlertTerms,
    seen_at: datetime,
    now: datetime,
) -> bool:
    """Let the alert ask something else. Returns false where it asked that already.

    `seen_at` is the `modified_at` of what was decided upon. Raises NoAlertError, AlertChangedError
    and AlertTermsError.
    """
    alert = _locked(team, alert_id)
    before, asked = _facts(alert), _asked(alert)
    if {name: getattr(alert, name) for name in _columns(terms)} == _columns(terms):
        return False
    if alert.modified_at != seen_at:
        raise AlertChangedError
    _check(team, terms, was=alert)
    for name, value in _columns(terms).items():
        setattr(alert, name, value)
    alert.modified_at = now
    if _asked(alert) != asked:
        alert.since = now
    alert.save()
    after = _facts(alert)
    changed = [name for name in after if before[name] != after[name]]
    _record(
        alert,
        actor,
        "UpdateUsageAlert",
        "Changed",
        before={name: before[name] for name in changed},
        after={name: after[name] for name in changed},
        now=now,
    )
    return True


@transaction.atomic
def delete_alert(*, team: Team, actor: Actor, alert_id: UUID, now: datetime) -> None:
    """Mail nobody any more. Raises NoAlertError."""
    alert = _locked(team, alert_id)
    _record(alert, actor, "DeleteUsageAlert", "Deleted", before=_facts(alert), now=now)
    alert.delete()


def alerts_of(user: User) -> list[dict[str, Any]]:
    """List what a person asked to be told, for their own copy of their data."""
    rows = UsageAlert.across_teams.filter(owner=user).select_related("team")
    return [
        {"team": alert.team.name, "set_at": alert.created_at} | _facts(alert)
        for alert in rows.order_by("created_at", "pk")
    ]


def delete_alerts(team: Team, *, user: User | None = None) -> None:
    """Delete the team's alerts, and those that a person set anywhere."""
    whose = Q(team=team) | Q(owner=user) if user else Q(team=team)
    UsageAlert.across_teams.filter(whose).delete()


def words_of(alert: UsageAlert) -> str:
    """Say when the alert tells: "More than $50.00 per day"."""
    return f"More than {billing.usd(alert.limit_ticks)} per {alert.per}"


def _locked(team: Team, alert_id: UUID) -> UsageAlert:
    alert = UsageAlert.of(team).select_for_update().filter(pk=alert_id).first()
    if alert is None:
        raise NoAlertError
    alert.team = team
    return alert


def _check(team: Team, terms: AlertTerms, was: UsageAlert | None = None) -> None:
    if not 0 < terms.limit_ticks <= MOST_TICKS:
        raise AlertTermsError("limit", f"Enter an amount from $0.01 to {billing.usd(MOST_TICKS)}.")
    if was and (was.watched, was.value) == (terms.watched, terms.value):
        return  # Also of a key that is gone by now.
    if terms.watched == Watched.API_KEY:
        key = api_keys.named_keys(team, [UUID(terms.value)]).get(UUID(terms.value))
        if key is None or key.is_deleted:
            raise AlertTermsError("key", "This API key is not there any more. Choose another.")
    # A name that was mistyped would be watched in vain.
    if terms.watched == Watched.MODEL and not _is_used(team, terms.value):
        raise AlertTermsError("model", f"No request has used the model “{terms.value}” yet.")


def _is_used(team: Team, model: str) -> bool:
    try:
        found = stores.current().values(
            team.pk, Dimension.MODEL, search=model, limit=MODELS_LOOKED_AT
        )
    except stores.StoreUnavailableError:
        return True  # Nobody can say now.
    return model in found


def _columns(terms: AlertTerms) -> dict[str, Any]:
    return {
        "watched": terms.watched,
        "value": terms.value,
        "per": terms.per,
        "limit_ticks": terms.limit_ticks,
        "to_admins": terms.to_admins,
    }


def _asked(alert: UsageAlert) -> tuple[str, str, str, int]:
    return alert.watched, alert.value, alert.per, alert.limit_ticks


def _facts(alert: UsageAlert) -> dict[str, Any]:
    return {
        "watches": Watched(alert.watched).label,
        "value": alert.value,
        "per": alert.per,
        "limit_ticks": alert.limit_ticks,
        "to_admins": alert.to_admins,
    }


def _record(
    alert: UsageAlert,
    actor: Actor,
    operation: str,
    did: str,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    now: datetime,
) -> None:
    words = words_of(alert)
    audit.record(
        team=alert.team,
        actor=actor,
        operation=operation,
        description=f"{did} the alert “{words}”",
        target_type="usage alert",
        target_id=str(alert.pk),
        target_label=words,
        before=before,
        after=after,
        now=now,
    )
