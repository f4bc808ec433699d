"""What proves the billing of months: each tick on one invoice, each invoice collected once."""

from typing import Final

CHECKS: Final = (
    # Months and their invoices.
    """
    SELECT i.team_id, format('invoice %s-%s is over %s cents, with lines of %s ticks, but its '
        'months add up to %s ticks', i.series_id, i.number, i.subtotal_cents, l.ticks,
        coalesce(m.ticks, 0))
    FROM billing_invoice i CROSS JOIN LATERAL (
        SELECT coalesce(sum((line ->> 'ticks')::numeric), 0) AS ticks
        FROM jsonb_array_elements(i.lines) line
    ) l
    LEFT JOIN (
        SELECT invoice_id, team_id, sum(accrued_ticks) AS ticks FROM billing_billingcycle
        WHERE invoice_id IS NOT NULL GROUP BY invoice_id, team_id
    ) m ON m.invoice_id = i.id AND m.team_id = i.team_id
    WHERE l.ticks <> coalesce(m.ticks, 0) OR CASE WHEN i.kind = 'month'
        THEN i.subtotal_cents <> div(coalesce(m.ticks, 0) + 50000000, 100000000)
        ELSE m.invoice_id IS NOT NULL END
    """,
    """
    SELECT i.team_id, format('invoice %s-%s says that credits paid %s ticks, but they paid %s of '
        'its months', i.series_id, i.number, i.credits_used_ticks, coalesce(m.ticks, 0))
    FROM billing_invoice i LEFT JOIN (
        SELECT invoice_id, sum(charged_ticks - accrued_ticks) AS ticks FROM billing_billingcycle
        WHERE invoice_id IS NOT NULL GROUP BY invoice_id
    ) m ON m.invoice_id = i.id
    WHERE i.credits_used_ticks <> coalesce(m.ticks, 0)
    """,
    """
    SELECT i.team_id, format('invoice %s-%s is of %s, but that month is not on it', i.series_id,
        i.number, to_char(i.month, 'YYYY-MM'))
    FROM billing_invoice i
    LEFT JOIN billing_billingcycle m ON m.invoice_id = i.id AND m.month = i.month
    WHERE i.kind = 'month' AND m.id IS NULL
    """,
    """
    SELECT m.team_id, format('%s is on invoice %s, but is not closed', to_char(m.month, 'YYYY-MM'),
        m.invoice_id)
    FROM billing_billingcycle m WHERE m.invoice_id IS NOT NULL AND m.closed_at IS NULL
    """,
    """
    SELECT m.team_id, format('%s is closed, but something can still be added to it',
        to_char(m.month, 'YYYY-MM'))
    FROM billing_billingcycle m LEFT JOIN billing_billingaccount a ON a.team_id = m.team_id
    WHERE m.closed_at IS NOT NULL AND coalesce(a.open_month <= m.month, true)
    """,
    """
    SELECT m.team_id, format('closed months without an invoice add up to %s ticks, enough for one',
        sum(m.accrued_ticks))
    FROM billing_billingcycle m WHERE m.closed_at IS NOT NULL AND m.invoice_id IS NULL
    GROUP BY m.team_id HAVING div(sum(m.accrued_ticks) + 50000000, 100000000) >= 50
    """,
    """
    SELECT e.team_id, format('entry %s is on the invoice of %s, but its request was charged at %s',
        e.id, to_char(e.month, 'YYYY-MM'), c.charged_at)
    FROM billing_ledgerentry e JOIN billing_charge c ON c.id = e.charge_id
    WHERE e.month IS NOT NULL
        AND e.month <> date_trunc('month', c.charged_at AT TIME ZONE 'UTC')::date
    """,
    # Collecting.
    """
    SELECT i.team_id, format('invoice %s-%s is of a kind that %s', i.series_id, i.number,
        CASE WHEN r.id IS NULL THEN 'is collected, but is not' ELSE 'is not collected, but is' END)
    FROM billing_invoice i
    LEFT JOIN billing_receivable r ON r.invoice_id = i.id AND r.team_id = i.team_id
    WHERE (i.kind = 'month') <> (r.id IS NOT NULL)
    """,
    """
    SELECT i.team_id, format('invoice %s-%s over %s cents is %s, but payments took %s cents for it',
        i.series_id, i.number, i.total_cents,
        CASE WHEN r.paid_at IS NULL THEN 'open' ELSE 'paid' END, coalesce(p.cents, 0))
    FROM billing_invoice i JOIN billing_receivable r ON r.invoice_id = i.id
    LEFT JOIN (
        SELECT invoice_id, team_id, sum(amount_cents) AS cents FROM billing_payment
        WHERE status = 'succeeded' GROUP BY invoice_id, team_id
    ) p ON p.invoice_id = i.id AND p.team_id = i.team_id
    WHERE coalesce(p.cents, 0) <> CASE WHEN r.paid_at IS NULL THEN 0 ELSE i.total_cents END
    """,
    """
    SELECT a.team_id, CASE WHEN a.invoicing_blocked_at IS NULL
        THEN 'an invoice is overdue, but invoicing goes on'
        ELSE 'invoicing is stopped, but no invoice is overdue' END
    FROM billing_billingaccount a CROSS JOIN LATERAL (
        SELECT count(*) > 0 AS any FROM billing_receivable
        WHERE team_id = a.team_id AND paid_at IS NULL AND next_try_at IS NULL
    ) overdue
    WHERE overdue.any <> (a.invoicing_blocked_at IS NOT NULL)
    """,
)
