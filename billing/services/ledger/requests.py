"""What proves what requests cost: charges, holds, and the months that they add up to."""

from typing import Final

CHECKS: Final = (
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
    SELECT c.team_id, format('charge %s costs %s ticks and lost %s, but %s were held',
        c.id, c.cost_ticks, c.loss_ticks, h.amount_ticks)
    FROM billing_charge c JOIN billing_hold h ON h.id = c.id
    WHERE c.cost_ticks <> least(c.cost_ticks + c.loss_ticks, h.amount_ticks)
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
)
