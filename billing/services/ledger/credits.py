"""What proves the credits: grants and the entries of them, and the codes that gave some."""

from typing import Final

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
    # Prepaid is what was bought, and is used last. What a code gave is proved below.
    """
    SELECT g.team_id, format('grant %s is %s, but was %s', g.id, g.kind,
        CASE WHEN g.idempotency_key LIKE 'purchase:%' THEN 'bought' ELSE 'given' END)
    FROM billing_creditgrant g
    WHERE CASE split_part(g.idempotency_key, ':', 1)
        WHEN 'purchase' THEN g.kind <> 'prepaid'
        WHEN 'staff' THEN g.kind = 'prepaid' END
    """,
    """
    SELECT e.team_id, format('entry %s is of a request, but says %s', e.id, e.kind)
    FROM billing_ledgerentry e
    WHERE e.kind <> 'charge' AND (e.charge_id IS NOT NULL OR e.month IS NOT NULL)
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
)
