"""Reading a team's ledger: every movement with the balance that it left."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import connection
from django.db.models import Q

from accounts.models import Team
from billing.models import LedgerEntry
from billing.models.credits import LedgerEntryQuerySet

# How many movements an export reads at a time.
EXPORT_BATCH: Final = 5_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which movements are asked for: of one kind or of all, from a moment on and before another."""

    kind: str = ""
    since: datetime | None = None
    before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Movement:
    """One entry, and what its pot held right after it.

    The pot is the team's credits, all grants together, or the invoice of a month: its balance is
    what the invoice carried, negative.
    """

    entry: LedgerEntry
    balance_ticks: int


@dataclass(frozen=True, slots=True)
class LedgerPage:
    """Some movements in a row, newest first, and whether there are more on either side of them."""

    movements: list[Movement]
    has_newer: bool
    has_older: bool


def ledger_page(
    team: Team,
    wanted: Wanted,
    *,
    size: int,
    older_than: UUID | None = None,
    newer_than: UUID | None = None,
) -> LedgerPage:
    """Cut one page out of the ledger, beside an entry that the reader has seen.

    Pages are found by an entry rather than by a number, since requests are charged while one
    reads. An unknown entry leads to the newest page. Two queries, or three beside an entry.
    """
    beside = older_than or newer_than
    seen = LedgerEntry.of(team).filter(pk=beside).first() if beside else None
    asked = _asked(team, wanted)
    if seen and newer_than:
        newer = list(asked.filter(_newer_than(seen)).order_by("happened_at", "pk")[: size + 1])
        if len(newer) > size:
            return LedgerPage(_balanced(team, newer[size - 1 :: -1]), True, True)  # noqa: FBT003
        seen = None  # The newest page, and then all of it.
    if seen:
        asked = asked.filter(_older_than(seen))
    found = list(asked[: size + 1])
    return LedgerPage(
        _balanced(team, found[:size]), has_newer=seen is not None, has_older=len(found) > size
    )


def ledger_batches(team: Team, wanted: Wanted) -> Iterator[list[Movement]]:
    """Read all that is asked for, newest first, some thousand movements at a time."""
    last: UUID | None = None
    goes_on = True
    while goes_on:
        cut = ledger_page(team, wanted, size=EXPORT_BATCH, older_than=last)
        if cut.movements:
            yield cut.movements
            last = cut.movements[-1].entry.pk
        goes_on = cut.has_older


def _asked(team: Team, wanted: Wanted) -> LedgerEntryQuerySet:
    entries = LedgerEntry.of(team).select_related("grant", "charge").defer("charge__lines")
    entries = entries.newest_first()
    if wanted.kind:
        entries = entries.filter(kind=wanted.kind)
    if wanted.since:
        entries = entries.filter(happened_at__gte=wanted.since)
    if wanted.before:
        entries = entries.filter(happened_at__lt=wanted.before)
    return entries


def _older_than(seen: LedgerEntry) -> Q:
    # The first condition alone is what the index can begin with.
    at, pk = seen.happened_at, seen.pk
    return Q(happened_at__lte=at) & (Q(happened_at__lt=at) | Q(pk__lt=pk))


def _newer_than(seen: LedgerEntry) -> Q:
    at, pk = seen.happened_at, seen.pk
    return Q(happened_at__gte=at) & (Q(happened_at__gt=at) | Q(pk__gt=pk))


# Counted back from what the pots hold now, in one statement and so as of one moment: the newest
# pages, which are nearly all that is ever read, then cost what is on them and not the whole ledger.
# Materialized, since the planner would sum up once per row what it takes for a few.
BALANCES: Final = """
    WITH pots AS MATERIALIZED (
        SELECT NULL::date AS month, coalesce(sum(remaining_ticks), 0) AS ticks
        FROM billing_creditgrant WHERE team_id = %(team)s
        UNION ALL
        SELECT month, -accrued_ticks FROM billing_billingcycle WHERE team_id = %(team)s
    ), later AS MATERIALIZED (
        SELECT month, sum(amount_ticks) AS ticks FROM billing_ledgerentry
        WHERE team_id = %(team)s AND happened_at >= %(newest_at)s
            AND (happened_at > %(newest_at)s OR id > %(newest)s)
        GROUP BY month
    ), shown AS (
        SELECT id, month, sum(amount_ticks) OVER (
            PARTITION BY month ORDER BY happened_at DESC, id DESC
        ) - amount_ticks AS ticks_after
        FROM billing_ledgerentry
        WHERE team_id = %(team)s AND happened_at BETWEEN %(oldest_at)s AND %(newest_at)s
            AND (happened_at < %(newest_at)s OR id <= %(newest)s)
    )
    SELECT shown.id, coalesce(pots.ticks, 0) - coalesce(later.ticks, 0) - shown.ticks_after
    FROM shown
    LEFT JOIN pots ON pots.month IS NOT DISTINCT FROM shown.month
    LEFT JOIN later ON later.month IS NOT DISTINCT FROM shown.month
    WHERE shown.id = ANY(%(entries)s)
"""


def _balanced(team: Team, entries: Sequence[LedgerEntry]) -> list[Movement]:
    """Set beside each entry of a page, newest first, what its pot held right after it."""
    if not entries:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            BALANCES,
            {
                "team": team.pk,
                "newest": entries[0].pk,
                "newest_at": entries[0].happened_at,
                "oldest_at": entries[-1].happened_at,
                "entries": [entry.pk for entry in entries],
            },
        )
        balances = dict(cursor.fetchall())
    return [Movement(entry, int(balances[entry.pk])) for entry in entries]
