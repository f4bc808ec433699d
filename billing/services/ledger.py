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


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing in the books that the rows behind it do not explain."""

    team_id: UUID | None
    sentence: str

    def __str__(self) -> str:
        return f"team {self.team_id}: {self.sentence}" if self.team_id else self.sentence


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


CHECKS: Final = (
    # Grants.
    """
    SELECT g.team_id, format('grant %s has %s ticks left, but its entries sum to %s',
        g.id, g.remaining_ticks, coalesce(e.ticks, 0))
    FROM billing_creditgrant g LEFT JOIN (
        SELECT grant_id, sum(amount_ticks) AS ticks FROM billing_ledgerentry
        WHERE grant_id IS NOT NULL GROUP BY grant_id
    ) e ON e.grant_id = g.id
    WHERE g.remaining_ticks <> coalesce(e.ticks, 0)
    """,
    """
    SELECT g.team_id, format('grant %s is of %s ticks, but its first entry adds %s',
        g.id, g.amount_ticks, coalesce(e.amount_ticks, 0))
    FROM billing_creditgrant g
    LEFT JOIN billing_ledgerentry e ON e.grant_id = g.id AND e.kind = 'grant'
    WHERE g.amount_ticks <> coalesce(e.amount_ticks, 0)
    """,
    """
    SELECT e.team_id, format('entry %s moves grant %s, which belongs to team %s',
        e.id, g.id, g.team_id)
    FROM billing_ledgerentry e JOIN billing_creditgrant g ON g.id = e.grant_id
    WHERE e.team_id <> g.team_id
    """,
    """
    SELECT e.team_id, format('entry %s expires grant %s at %s, before it is over', e.id, g.id,
        e.happened_at)
    FROM billing_ledgerentry e JOIN billing_creditgrant g ON g.id = e.grant_id
    WHERE e.kind = 'expiry' AND (g.expires_at IS NULL OR e.happened_at < g.expires_at)
    """,
    """
    SELECT e.team_id, format('entry %s forfeits grant %s, but the team is not closed', e.id,
        e.grant_id)
    FROM billing_ledgerentry e JOIN accounts_team t ON t.id = e.team_id
    WHERE e.kind = 'forfeit' AND t.closed_at IS NULL
    """,
    """
    SELECT t.id, format('the team is closed, but %s ticks of credits and %s of holds are left',
        g.ticks, coalesce(a.held_ticks, 0))
    FROM accounts_team t LEFT JOIN billing_billingaccount a ON a.team_id = t.id
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(remaining_ticks), 0) AS ticks FROM billing_creditgrant
        WHERE team_id = t.id
    ) g
    WHERE t.closed_at IS NOT NULL AND (g.ticks <> 0 OR a.held_ticks <> 0)
    """,
    # Charges.
    """
    SELECT c.team_id, format('charge %s costs %s ticks, but its entries take %s',
        c.id, c.cost_ticks, coalesce(e.ticks, 0))
    FROM billing_charge c LEFT JOIN (
        SELECT charge_id, team_id, -sum(amount_ticks) AS ticks FROM billing_ledgerentry
        WHERE charge_id IS NOT NULL GROUP BY charge_id, team_id
    ) e ON e.charge_id = c.id AND e.team_id = c.team_id
    WHERE c.cost_ticks <> coalesce(e.ticks, 0)
    """,
    """
    SELECT e.team_id, format('entry %s is for charge %s, which belongs to team %s',
        e.id, c.id, c.team_id)
    FROM billing_ledgerentry e JOIN billing_charge c ON c.id = e.charge_id
    WHERE e.team_id <> c.team_id
    """,
    """
    SELECT c.team_id, format('charge %s costs %s ticks and lost %s, but its lines add up to %s',
        c.id, c.cost_ticks, c.loss_ticks, l.ticks)
    FROM billing_charge c CROSS JOIN LATERAL (
        SELECT coalesce(sum((line ->> 1)::numeric * (line ->> 2)::numeric), 0) AS ticks
        FROM jsonb_array_elements(c.lines) line
    ) l
    WHERE c.cost_ticks + c.loss_ticks <> l.ticks
    """,
    # Holds.
    """
    SELECT coalesce(a.team_id, h.team_id), format('the account holds %s ticks, but its %s live '
        'holds add up to %s', coalesce(a.held_ticks, 0), coalesce(h.holds, 0), coalesce(h.ticks, 0))
    FROM billing_billingaccount a FULL JOIN (
        SELECT team_id, sum(amount_ticks) AS ticks, count(*) AS holds FROM billing_hold
        WHERE state = 'live' GROUP BY team_id
    ) h ON h.team_id = a.team_id
    WHERE coalesce(a.held_ticks, 0) <> coalesce(h.ticks, 0)
    """,
    """
    SELECT h.team_id, format('hold %s is settled, but has no charge', h.id)
    FROM billing_hold h LEFT JOIN billing_charge c ON c.id = h.id AND c.team_id = h.team_id
    WHERE h.state = 'settled' AND c.id IS NULL
    """,
    """
    SELECT c.team_id, format('charge %s has no settled hold', c.id)
    FROM billing_charge c
    LEFT JOIN billing_hold h ON h.id = c.id AND h.team_id = c.team_id AND h.state = 'settled'
    WHERE h.id IS NULL
    """,
    """
    SELECT c.team_id, format('charge %s costs %s ticks, more than the %s that were held',
        c.id, c.cost_ticks, h.amount_ticks)
    FROM billing_charge c JOIN billing_hold h ON h.id = c.id
    WHERE c.cost_ticks > h.amount_ticks
    """,
    # Months.
    """
    SELECT coalesce(m.team_id, e.team_id), format('the invoice of %s carries %s ticks, but its '
        'entries take %s', to_char(coalesce(m.month, e.month), 'YYYY-MM'),
        coalesce(m.accrued_ticks, 0), coalesce(e.ticks, 0))
    FROM billing_billingcycle m FULL JOIN (
        SELECT team_id, month, -sum(amount_ticks) AS ticks FROM billing_ledgerentry
        WHERE month IS NOT NULL GROUP BY team_id, month
    ) e ON e.team_id = m.team_id AND e.month = m.month
    WHERE coalesce(m.accrued_ticks, 0) <> coalesce(e.ticks, 0)
    """,
    """
    SELECT coalesce(m.team_id, c.team_id), format('%s cost %s ticks, but its charges add up to %s',
        to_char(coalesce(m.month, c.month), 'YYYY-MM'), coalesce(m.charged_ticks, 0),
        coalesce(c.ticks, 0))
    FROM billing_billingcycle m FULL JOIN (
        SELECT team_id, date_trunc('month', charged_at AT TIME ZONE 'UTC')::date AS month,
            sum(cost_ticks) AS ticks
        FROM billing_charge GROUP BY 1, 2
    ) c ON c.team_id = m.team_id AND c.month = m.month
    WHERE coalesce(m.charged_ticks, 0) <> coalesce(c.ticks, 0)
    """,
    # Purchases.
    """
    SELECT p.team_id, format('purchase %s is of %s cents and %s, but %s', p.id, p.amount_cents,
        p.status, CASE WHEN g.id IS NULL THEN 'granted nothing'
            ELSE format('granted %s ticks', g.amount_ticks) END)
    FROM billing_purchase p LEFT JOIN billing_creditgrant g
        ON g.team_id = p.team_id AND g.idempotency_key = 'purchase:' || p.id
    WHERE coalesce(g.amount_ticks, 0)
        <> CASE WHEN p.status = 'succeeded' THEN p.amount_cents * 100000000 ELSE 0 END
    """,
    """
    SELECT g.team_id, format('grant %s says that it was bought, but there is no such purchase',
        g.id)
    FROM billing_creditgrant g LEFT JOIN billing_purchase p
        ON p.team_id = g.team_id AND 'purchase:' || p.id = g.idempotency_key
    WHERE g.idempotency_key LIKE 'purchase:%' AND p.id IS NULL
    """,
    """
    SELECT p.team_id, format('purchase %s is of %s cents and %s, but %s', p.id, p.amount_cents,
        p.status, CASE WHEN i.id IS NULL THEN 'has no receipt'
            ELSE format('its receipt is over %s', i.subtotal_cents) END)
    FROM billing_purchase p
    LEFT JOIN billing_invoice i ON i.purchase_id = p.id AND i.team_id = p.team_id
    WHERE coalesce(i.subtotal_cents, 0)
        <> CASE WHEN p.status = 'succeeded' THEN p.amount_cents ELSE 0 END
    """,
    """
    SELECT a.team_id, format('the account says that %s ticks were paid, but its purchases and '
        'invoices add up to %s', a.paid_ticks, coalesce(p.ticks, 0))
    FROM billing_billingaccount a LEFT JOIN (
        SELECT team_id, sum(cents) * 100000000 AS ticks FROM (
            SELECT team_id, amount_cents AS cents FROM billing_purchase WHERE status = 'succeeded'
            UNION ALL
            SELECT i.team_id, i.subtotal_cents FROM billing_invoice i
            JOIN billing_receivable r ON r.invoice_id = i.id WHERE r.paid_at IS NOT NULL
        ) payments GROUP BY team_id
    ) p ON p.team_id = a.team_id
    WHERE a.paid_ticks <> coalesce(p.ticks, 0)
    """,
    # Promo codes.
    """
    SELECT r.team_id, format('use %s of the code %s gave grant %s, which is not of %s ticks for it',
        r.nth, c.code, g.id, c.amount_ticks)
    FROM billing_promoredemption r JOIN billing_promocode c ON c.id = r.code_id
    JOIN billing_creditgrant g ON g.id = r.grant_id
    WHERE (g.team_id, g.kind, g.idempotency_key, g.amount_ticks)
        IS DISTINCT FROM (r.team_id, 'promo', format('promo:%s:%s', c.code, r.nth), c.amount_ticks)
    """,
    """
    SELECT g.team_id, format('grant %s says that a code gave it, but nobody redeemed that', g.id)
    FROM billing_creditgrant g LEFT JOIN billing_promoredemption r ON r.grant_id = g.id
    WHERE g.idempotency_key LIKE 'promo:%' AND r.id IS NULL
    """,
    """
    SELECT NULL::uuid, format('the code %s says %s uses, but was redeemed %s times', c.code, c.uses,
        count(r.id))
    FROM billing_promocode c LEFT JOIN billing_promoredemption r ON r.code_id = c.id
    GROUP BY c.id HAVING c.uses <> count(r.id)
    """,
    """
    SELECT r.team_id, format('the code %s was redeemed %s times, but a team may %s times', c.code,
        count(*), c.uses_per_team)
    FROM billing_promoredemption r JOIN billing_promocode c ON c.id = r.code_id
    GROUP BY r.team_id, c.id HAVING count(*) > c.uses_per_team
    """,
    # Documents.
    """
    SELECT i.team_id, format('invoice %s-%s is over %s cents, but its lines add up to %s',
        i.series_id, i.number, i.subtotal_cents, l.cents)
    FROM billing_invoice i CROSS JOIN LATERAL (
        SELECT coalesce(sum((line ->> 'amount_cents')::numeric), 0) AS cents
        FROM jsonb_array_elements(i.lines) line
    ) l
    WHERE i.subtotal_cents <> l.cents
    """,
    """
    SELECT NULL::uuid, format('series %s has given %s numbers, but has %s documents, up to %s',
        s.code, s.last_number, count(i.id), coalesce(max(i.number), 0))
    FROM billing_invoiceseries s LEFT JOIN billing_invoice i ON i.series_id = s.code
    GROUP BY s.code, s.last_number
    HAVING s.last_number <> count(i.id) OR s.last_number <> coalesce(max(i.number), 0)
    """,
)
