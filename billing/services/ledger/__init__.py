"""Proving the books: every balance recomputed from the rows that explain it.

Each check is one statement over all teams that returns only what is wrong, as a team and a
sentence, so that a million charges are read by the database and not by us.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.db import connection, transaction

from accounts.models import Team
from billing.models import LedgerEntry
from billing.models.credits import LedgerEntryQuerySet
from billing.services.ledger import credits as of_credits
from billing.services.ledger import documents as of_documents
from billing.services.ledger import months as of_months
from billing.services.ledger import payments as of_payments
from billing.services.ledger import refunds as of_refunds
from billing.services.ledger import requests as of_requests


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing in the books that the rows behind it do not explain."""

    team_id: UUID | None
    sentence: str

    def __str__(self) -> str:
        return f"team {self.team_id}: {self.sentence}" if self.team_id else self.sentence


CHECKS: Final = (
    *of_credits.CHECKS,
    *of_requests.CHECKS,
    *of_months.CHECKS,
    *of_payments.CHECKS,
    *of_refunds.CHECKS,
    *of_documents.CHECKS,
)


@contextmanager
def snapshot() -> Iterator[None]:
    """Read everything as of one moment, so that a busy gateway gives no false alarm.

    Inside a caller's transaction, what can be seen is the caller's business.
    """
    if connection.in_atomic_block:
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def differences() -> Iterator[Difference]:
    """Compare all books of all teams; to be read inside `snapshot`."""
    for check in CHECKS:
        # Not a server-side cursor: PostgreSQL plans those for a quick first row and without
        # parallel workers, which makes a clean check of a million charges four times slower.
        with connection.cursor() as cursor:
            cursor.execute(check)
            for team_id, sentence in cursor.fetchall():
                yield Difference(team_id, sentence)


def recent_entries(team: Team, *, limit: int) -> LedgerEntryQuerySet:
    """List a team's latest movements, newest first, with what each is about."""
    return LedgerEntry.of(team).select_related("grant", "charge").newest_first()[:limit]


def ledger_size() -> tuple[int, int]:
    """Count the teams with a ledger, and its entries."""
    entries = LedgerEntry.across_teams
    return entries.values("team").distinct().count(), entries.count()
