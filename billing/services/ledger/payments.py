"""What proves what was paid: purchases, and what the account counts towards the tier."""

from typing import Final

CHECKS: Final = (
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
    SELECT p.team_id, format('purchase %s is of %s cents at %s %%, but its tax is %s', p.id,
        p.amount_cents, p.tax_percent, p.tax_cents)
    FROM billing_purchase p
    WHERE p.tax_cents <> round(p.amount_cents * p.tax_percent / 100)
    """,
    """
    SELECT p.team_id, format('purchase %s has a tax of %s cents, %s %%, but its receipt one of %s '
        'cents, %s %%', p.id, p.tax_cents, p.tax_percent, i.tax_cents, i.tax_percent)
    FROM billing_purchase p
    JOIN billing_invoice i ON i.purchase_id = p.id AND i.team_id = p.team_id
    WHERE (p.tax_cents, p.tax_percent) <> (i.tax_cents, i.tax_percent)
    """,
    # What is not paid by card is not looked for among the payments.
    """
    SELECT p.team_id, format('purchase %s is of the kind %s, but was begun as %s', p.id, p.kind,
        begun.kind)
    FROM billing_purchase p CROSS JOIN LATERAL (
        SELECT CASE WHEN p.transfer_reference IS NOT NULL THEN 'transfer'
            WHEN p.idempotency_key LIKE 'auto:%' THEN 'auto' ELSE 'card' END AS kind
    ) begun
    WHERE p.kind <> begun.kind
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
    # Payments: what was collected is what was delivered.
    """
    SELECT p.team_id, format('payment %s of %s cents is %s, but its purchase is %s and of %s',
        p.id, p.amount_cents, p.status, u.status, u.amount_cents + u.tax_cents)
    FROM billing_payment p JOIN billing_purchase u ON u.id = p.purchase_id
    WHERE p.amount_cents <> u.amount_cents + u.tax_cents
        OR (p.status = 'succeeded' AND u.status <> 'succeeded')
    """,
    # What was taken for an invoice is summed up where the invoice is.
    """
    SELECT p.team_id, format('payment %s of %s cents is %s, but its invoice is over %s', p.id,
        p.amount_cents, p.status, i.total_cents)
    FROM billing_payment p JOIN billing_invoice i ON i.id = p.invoice_id
    WHERE p.status <> 'succeeded' AND p.amount_cents <> i.total_cents
    """,
    """
    SELECT p.team_id, format('payment %s is made for team %s, by a card of team %s', p.id,
        coalesce(u.team_id, i.team_id), m.team_id)
    FROM billing_payment p JOIN billing_paymentmethod m ON m.id = p.method_id
    LEFT JOIN billing_purchase u ON u.id = p.purchase_id
    LEFT JOIN billing_invoice i ON i.id = p.invoice_id
    WHERE p.team_id <> m.team_id OR p.team_id <> coalesce(u.team_id, i.team_id)
    """,
    """
    SELECT u.team_id, format('purchase %s is paid by card, but no payment of it is', u.id)
    FROM billing_purchase u
    WHERE u.status = 'succeeded' AND u.kind <> 'transfer' AND NOT EXISTS (
        SELECT FROM billing_payment p WHERE p.purchase_id = u.id AND p.status = 'succeeded')
    """,
)
