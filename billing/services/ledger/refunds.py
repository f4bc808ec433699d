"""What proves the refunds: credits taken back, money paid back, and a note about both."""

from typing import Final

CHECKS: Final = (
    """
    SELECT r.team_id, format('refund %s of %s cents is %s, but its entries take %s ticks', r.id,
        r.amount_cents, r.status, coalesce(e.ticks, 0))
    FROM billing_refund r
    LEFT JOIN billing_creditgrant g
        ON g.team_id = r.team_id AND g.idempotency_key = 'purchase:' || r.purchase_id
    LEFT JOIN (
        SELECT grant_id, -sum(amount_ticks) AS ticks FROM billing_ledgerentry
        WHERE kind IN ('refund', 'reversal') GROUP BY grant_id
    ) e ON e.grant_id = g.id
    WHERE coalesce(e.ticks, 0)
        <> CASE WHEN r.status = 'failed' THEN 0 ELSE r.amount_cents * 100000000 END
    """,
    """
    SELECT e.team_id, format('entry %s refunds grant %s, but there is no such refund', e.id,
        e.grant_id)
    FROM billing_ledgerentry e JOIN billing_creditgrant g ON g.id = e.grant_id
    LEFT JOIN billing_refund r
        ON r.team_id = g.team_id AND 'purchase:' || r.purchase_id = g.idempotency_key
    WHERE e.kind IN ('refund', 'reversal') AND r.id IS NULL
    """,
    """
    SELECT r.team_id, format('refund %s of %s and %s cents is %s, but its credit note is over %s '
        'and %s', r.id, r.amount_cents, r.tax_cents, r.status, coalesce(i.subtotal_cents, 0),
        coalesce(i.tax_cents, 0))
    FROM billing_refund r
    LEFT JOIN billing_invoice i ON i.refund_id = r.id AND i.team_id = r.team_id
    WHERE CASE WHEN r.status = 'succeeded'
        THEN (i.subtotal_cents, i.tax_cents) IS DISTINCT FROM (r.amount_cents, r.tax_cents)
        ELSE i.id IS NOT NULL END
    """,
    """
    SELECT r.team_id, format('refund %s gives back a tax of %s cents, but %s of %s cents '
        'had one of %s', r.id, r.tax_cents, r.amount_cents, p.amount_cents, due.cents)
    FROM billing_refund r JOIN billing_purchase p ON p.id = r.purchase_id
    CROSS JOIN LATERAL (
        SELECT round(p.tax_cents::numeric * r.amount_cents / p.amount_cents) AS cents
    ) due
    WHERE r.tax_cents <> due.cents
    """,
    """
    SELECT r.team_id, format('refund %s is of a purchase taxed at %s %%, but its credit note at '
        '%s %%', r.id, p.tax_percent, i.tax_percent)
    FROM billing_refund r JOIN billing_purchase p ON p.id = r.purchase_id
    JOIN billing_invoice i ON i.refund_id = r.id
    WHERE i.tax_percent <> p.tax_percent
    """,
    """
    SELECT r.team_id, format('refund %s is of %s cents, but its purchase is %s and of %s', r.id,
        r.amount_cents, p.status, p.amount_cents)
    FROM billing_refund r JOIN billing_purchase p ON p.id = r.purchase_id
    WHERE r.amount_cents > p.amount_cents OR p.status <> 'succeeded' OR p.team_id <> r.team_id
    """,
)
