"""The alerts that come true: looked for each minute, and mailed once per hour or day each."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby, pairwise
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

from allauth.account.adapter import get_adapter
from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.urls import reverse

from accounts.models import Membership, Team
from accounts.one_by_one import one_by_one
from api_keys import services as api_keys
from usage import stores
from usage.models import UsageAlert, UsageAlertMail, UsageEvent
from usage.rules import Dimension, Filter, Question, day_label
from usage.rules.alerts import Spans, days_at, hours_at
from usage.services.alerts import Per, Watched, readers

logger = logging.getLogger(__name__)

# Whoever asked for nothing for so long, and set nothing, has nothing new to be told.
IDLE_AFTER: Final = timedelta(days=1)


# Clocks that go forward make a day of 23 hours.
SHORTEST: Final[dict[str, timedelta]] = {Per.HOUR: timedelta(hours=1), Per.DAY: timedelta(hours=23)}


class _Span(NamedTuple):
    """An hour or a day that cost more than it should."""

    begins_at: datetime
    ends_at: datetime
    cost_ticks: int


def send_alerts(*, now: datetime) -> None:
    """Mail every alert that came true. A team whose alerts fail does not keep the rest waiting."""
    asking = UsageEvent.across_teams.filter(team=OuterRef("team"), at__gt=now - IDLE_AFTER)
    rows = UsageAlert.across_teams.filter(
        Q(since__gt=now - IDLE_AFTER) | Exists(asking), team__closed_at=None
    )
    found = rows.select_related("team", "owner").order_by("team_id", "pk")
    with one_by_one(logger) as each:
        for team, of_team in groupby(list(found), key=lambda alert: alert.team):
            with each("The alerts of team %s could not be looked at", team.pk):
                _look_at(team, list(of_team), now)


def _look_at(team: Team, found: Sequence[UsageAlert], now: datetime) -> None:
    """Ask the store once for all alerts that sum the same hours or days of the same kind."""
    members = {membership.user_id: membership for membership in readers(team)}
    alike = defaultdict(list)
    for alert in found:
        # Who went, or may not see usage any more, is told nothing. Their alerts stay, switched off.
        if alert.owner_id in members:
            alike[alert.owner.zone, alert.per, alert.watched].append(alert)
    for (zone, per, watched), of_kind in alike.items():
        spans = days_at(now, zone) if per == Per.DAY else hours_at(now, zone)
        costs = _costs(team, watched, of_kind, spans, zone)
        for alert in of_kind:
            over = [
                _Span(begins_at, ends_at, cost_ticks)
                for number, (begins_at, ends_at) in enumerate(pairwise(spans))
                if ends_at > alert.since
                and (cost_ticks := costs.get((number, alert.value), 0)) > alert.limit_ticks
            ]
            if over:
                _tell(alert, over, members.values(), now)


def _costs(
    team: Team, watched: str, found: Iterable[UsageAlert], spans: Spans, zone: ZoneInfo
) -> Mapping[tuple[int, str], int]:
    group = Dimension(watched) if watched else None
    values = frozenset(alert.value for alert in found)
    answer = stores.at_hand().query(
        Question(
            team_id=team.pk,
            starts=tuple(spans),
            zone=zone,
            group=group,
            filters=(Filter(group, values),) if group else (),
            measures=("cost_ticks",),
        )
    )
    return {place: sums.cost_ticks for place, sums in answer.items()}


@transaction.atomic
def _tell(
    alert: UsageAlert, over: Sequence[_Span], members: Iterable[Membership], now: datetime
) -> None:
    """Mail it, but for what was told, or if the alert was changed or deleted a moment ago.

    What came true while nobody looked is one mail: of the newest, with those before it.
    """
    same = UsageAlert.of(alert.team).select_for_update().filter(pk=alert.pk, since=alert.since)
    if not same.exists():
        return
    mails = UsageAlertMail.of(alert.team).filter(alert=alert, since=alert.since)
    shortest = SHORTEST[alert.per]
    known = list(
        mails.filter(begins_at__gt=over[0].begins_at - shortest).values_list("begins_at", flat=True)
    )
    # Whoever moves to another zone has other hours and days, most of which they were told of.
    news = [
        span
        for span in over
        if not any(span.begins_at - shortest < begins_at < span.ends_at for begins_at in known)
    ]
    if not news:
        return
    UsageAlertMail.across_teams.bulk_create(
        UsageAlertMail(
            team=alert.team,
            alert=alert,
            since=alert.since,
            begins_at=span.begins_at,
            cost_ticks=span.cost_ticks,
            sent_at=now,
        )
        for span in news
    )
    told = [one for one in members if one.user_id == alert.owner_id or _is_told(alert, one)]
    words = _words(alert, news)
    # One address can be that of several accounts. Who set the alert is told so.
    told.sort(key=lambda one: one.user_id == alert.owner_id)
    for address, is_owner in {o.user.email: o.user_id == alert.owner_id for o in told}.items():
        get_adapter().send_mail("usage/email/alert", address, words | {"is_owner": is_owner})


def _is_told(alert: UsageAlert, member: Membership) -> bool:
    return alert.to_admins and member.is_admin


def _words(alert: UsageAlert, news: Sequence[_Span]) -> dict[str, Any]:
    *earlier, newest = news
    return {
        "alert": alert,
        "team": alert.team,
        "what": _what(alert),
        "span": _in_words(alert, newest),
        "zone": alert.owner.zone.key,
        "cost_ticks": newest.cost_ticks,
        "earlier": [(_in_words(alert, span), span.cost_ticks) for span in earlier],
        "explorer": _address(alert, newest.begins_at.astimezone(alert.owner.zone)),
    }


def _in_words(alert: UsageAlert, span: _Span) -> str:
    begin = span.begins_at.astimezone(alert.owner.zone)
    if alert.per == Per.DAY:
        return f"on {day_label(begin)}"
    end = span.ends_at.astimezone(alert.owner.zone)
    return f"from {begin:%H:%M} to {end:%H:%M} on {day_label(begin)}"


def _what(alert: UsageAlert) -> str:
    """Name what cost so much, as the beginning of a sentence."""
    if alert.watched == Watched.MODEL:
        return f"The model {alert.value}"
    if alert.watched == Watched.API_KEY:
        key = api_keys.named_keys(alert.team, [UUID(alert.value)])[UUID(alert.value)]
        return f"The API key {key.name}"
    return "The team"


def _address(alert: UsageAlert, begin: datetime) -> str:
    """Lead to the explorer, with the day in question and only what the alert watches."""
    day = begin.date().isoformat()
    query = {"from": day, "to": day, "tz": alert.owner.zone.key, "granularity": "hour"}
    if alert.watched:
        query[alert.watched] = alert.value
    return f"{reverse('usage:explorer', args=[alert.team.pk])}?{urlencode(query)}"
