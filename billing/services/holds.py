"""Hold, then settle: the hot path of billing, in batches of many requests of many teams.

Each function here is one transaction over however many requests the caller has at hand (group
commit), with a fixed number of statements. It locks the accounts of all teams concerned, in the
order of their ids so that two batches cannot wait for each other, and only then reads balances.
"""

import logging
from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Sum

from accounts.models import Team
from accounts.one_by_one import one_by_one
from billing.models import Hold
from billing.rules import Ceiling
from billing.services.books import Books, HoldRequest, Refusal, Settled, Settlement

logger = logging.getLogger(__name__)


@transaction.atomic
def reserve(
    requests: Sequence[HoldRequest], *, now: datetime, until: datetime
) -> list[Ceiling | Refusal]:
    """Set credits aside for some requests, in their order; see Books.reserve."""
    books = Books.open({r.team_id for r in requests}, now=now)
    answers = [books.reserve(request, until=until) for request in requests]
    books.write()
    return answers


@transaction.atomic
def settle(settlements: Sequence[Settlement], *, now: datetime) -> list[Settled]:
    """End the holds of some requests and charge them; see Books.settle."""
    ids = [s.request_id for s in settlements]
    books = Books.open({s.team_id for s in settlements}, requests=ids, now=now)
    results = books.settle(settlements)
    books.write()
    return results


@transaction.atomic
def release(request_ids: Collection[UUID], *, now: datetime) -> None:
    """Give back the holds of requests that came to nothing."""
    teams = Hold.across_teams.filter(pk__in=request_ids).values_list("team_id", flat=True)
    books = Books.open(set(teams), now=now)
    books.release(request_ids)
    books.write()


def renew(request_ids: Collection[UUID], *, until: datetime) -> None:
    """Let live holds last longer, for streams that do."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE billing_hold SET expires_at = %s"
            " WHERE state = 'live' AND id IN (SELECT id FROM billing_hold"
            " WHERE id = ANY(%s) AND state = 'live' ORDER BY id FOR UPDATE)",
            [until, sorted(request_ids)],
        )


def tokens_in_flight(team: Team, *, now: datetime) -> dict[str, int]:
    """Say what the team's requests under way may use until they are over, by the model's name."""
    live = Hold.of(team).filter(state=Hold.State.LIVE, expires_at__gt=now)
    return dict(live.values_list("model").annotate(Sum("tokens")))


def sweep(*, now: datetime) -> int:
    """Give back every lapsed hold, a team at a time; return how many there were.

    A team whose books fail does not keep the rest waiting; its error is raised at the end.
    """
    teams = Hold.across_teams.filter(state=Hold.State.LIVE, expires_at__lte=now)
    swept = 0
    with one_by_one(logger) as each:
        for team_id in teams.order_by("team_id").values_list("team_id", flat=True).distinct():
            with (
                each("The lapsed holds of team %s could not be given back", team_id),
                transaction.atomic(),
            ):
                books = Books.open([team_id], now=now)
                swept += books.expire(team_id)
                books.write()
    return swept
