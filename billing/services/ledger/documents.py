"""What proves the documents: lines that add up, and numbers without gaps."""

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
    """
    SELECT NULL::uuid, format('series %s has given %s numbers, but has %s documents, up to %s',
        s.code, s.last_number, count(i.id), coalesce(max(i.number), 0))
    FROM billing_invoiceseries s LEFT JOIN billing_invoice i ON i.series_id = s.code
    GROUP BY s.code, s.last_number
    HAVING s.last_number <> count(i.id) OR s.last_number <> coalesce(max(i.number), 0)
    """,
)
