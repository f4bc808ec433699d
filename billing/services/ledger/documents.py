"""What proves the documents: lines that add up, the tax on them, and numbers without gaps."""

from typing import Final

CHECKS: Final = (
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
    # A line that was carried over, too; what credits paid has no price.
    """
    SELECT i.team_id, format('invoice %s-%s has a line of %s at %s ticks that is over %s',
        i.series_id, i.number, line ->> 'quantity', line ->> 'unit_price_ticks', line ->> 'ticks')
    FROM billing_invoice i CROSS JOIN LATERAL jsonb_array_elements(i.lines) line
    WHERE line ? 'unit_price_ticks' AND (line ->> 'ticks')::numeric
        <> (line ->> 'quantity')::numeric * (line ->> 'unit_price_ticks')::numeric
    """,
    """
    SELECT i.team_id, format('invoice %s-%s has a line of %s ticks that is over %s cents',
        i.series_id, i.number, line ->> 'ticks', line ->> 'amount_cents')
    FROM billing_invoice i CROSS JOIN LATERAL jsonb_array_elements(i.lines) line
    WHERE line ? 'ticks' AND (line ->> 'amount_cents')::numeric
        <> round((line ->> 'ticks')::numeric * 0.00000001)
    """,
    # A credit note gives back a part of a receipt's tax: the refund proves that one.
    """
    SELECT i.team_id, format('invoice %s-%s is over %s cents at %s %%, but its tax is %s',
        i.series_id, i.number, i.subtotal_cents, i.tax_percent, i.tax_cents)
    FROM billing_invoice i
    WHERE i.kind <> 'credit' AND i.tax_cents <> round(i.subtotal_cents * i.tax_percent / 100)
    """,
    """
    SELECT NULL::uuid, format('series %s has given %s numbers, but has %s documents, '
        'from %s to %s', s.code, s.last_number, count(i.id), coalesce(min(i.number), 0),
        coalesce(max(i.number), 0))
    FROM billing_invoiceseries s LEFT JOIN billing_invoice i ON i.series_id = s.code
    GROUP BY s.code, s.last_number
    HAVING (s.last_number, s.last_number, 1)
        <> (count(i.id), coalesce(max(i.number), 0), coalesce(min(i.number), 1))
    """,
)
