"""The SQL of a batch of holds and charges: constant texts, each one trip for many requests.

Rows travel as one JSON array, which costs less to write here and to read there than an array per
column.
"""

# Nothing goes on an invoice while one is overdue.
LOCK_ACCOUNTS = """
SELECT team_id,
    CASE WHEN invoicing_blocked_at IS NULL THEN least(spending_limit_ticks, hard_limit_ticks)
        ELSE 0 END,
    held_ticks, paid_ticks, least_tier, refused_month, open_month,
    invoicing_blocked_at IS NOT NULL
FROM billing_billingaccount WHERE team_id = ANY(%s) ORDER BY team_id FOR UPDATE
"""

READ = """
SELECT (
    SELECT coalesce(json_agg(json_build_array(
        team_id, id, kind, granted_at, expires_at, remaining_ticks)), '[]')
    FROM billing_creditgrant WHERE team_id = ANY(%(teams)s) AND remaining_ticks > 0
), (
    SELECT coalesce(json_object_agg(team_id, accrued_ticks), '{}')
    FROM billing_billingaccount JOIN billing_billingcycle USING (team_id)
    WHERE team_id = ANY(%(teams)s) AND month = greatest(%(month)s, open_month)
), (
    SELECT coalesce(json_agg(json_build_array(id, amount_ticks, state, created_at, api_key_id,
        model, tokens, expires_at <= %(now)s)), '[]')
    FROM billing_hold WHERE id = ANY(%(requests)s)
), (
    SELECT coalesce(json_agg(json_build_array(
        team_id, api_key_id, model, lapsed, ticks, tokens)), '[]')
    FROM (
        SELECT team_id, api_key_id, model, expires_at <= %(now)s AS lapsed,
            sum(amount_ticks) AS ticks, sum(tokens) AS tokens
        FROM billing_hold WHERE team_id = ANY(%(teams)s) AND state = 'live' GROUP BY 1, 2, 3, 4
    ) AS live
)
"""

RELEASE_HOLDS = """
UPDATE billing_hold SET state = 'released', ended_at = %(now)s
WHERE id = ANY(%(ids)s) AND state = 'live'
RETURNING id, team_id, amount_ticks, api_key_id, model, tokens, expires_at <= %(now)s
"""

# Says itself what has lapsed: a hold may be renewed until the moment in which it is ended.
EXPIRE_HOLDS = """
UPDATE billing_hold SET state = 'expired', ended_at = %(now)s
WHERE team_id = %(team)s AND state = 'live' AND expires_at <= %(now)s
    AND NOT id = ANY(%(settled)s::uuid[])
RETURNING id, team_id, amount_ticks, api_key_id, model, tokens, expires_at <= %(now)s
"""

# The parts touch different tables, so that it does not matter that they see one snapshot. A hold
# is never made and ended by the same batch.
WRITE = """
WITH charged AS (
    INSERT INTO billing_charge
        (charged_at, id, team_id, cost_ticks, loss_ticks, model, lines, is_estimated)
    SELECT charge.* FROM jsonb_to_recordset(%(charges)s)
        AS charge (charged_at timestamptz, id uuid, team_id uuid, cost_ticks bigint,
            loss_ticks bigint, model text, lines jsonb, is_estimated boolean)
), entered AS (
    INSERT INTO billing_ledgerentry
        (kind, happened_at, id, team_id, amount_ticks, grant_id, month, charge_id)
    SELECT 'charge', %(now)s, entry.* FROM jsonb_to_recordset(%(entries)s)
        AS entry (id uuid, team_id uuid, amount_ticks bigint, grant_id uuid, month date,
            charge_id uuid)
), settled AS (
    UPDATE billing_hold SET state = 'settled', ended_at = %(now)s
    FROM jsonb_to_recordset(%(charges)s) AS charge (id uuid)
    WHERE billing_hold.id = charge.id
), drawn AS (
    UPDATE billing_creditgrant AS credit SET remaining_ticks = remaining_ticks - drawn.ticks
    FROM jsonb_to_recordset(%(drawn)s) AS drawn (id uuid, ticks bigint)
    WHERE credit.id = drawn.id
), spent AS (
    INSERT INTO billing_billingcycle AS cycle (month, team_id, charged_ticks, accrued_ticks)
    SELECT spent.* FROM jsonb_to_recordset(%(spent)s)
        AS spent (month date, id uuid, charged bigint, accrued bigint)
    ON CONFLICT (team_id, month) DO UPDATE
    SET charged_ticks = cycle.charged_ticks + excluded.charged_ticks,
        accrued_ticks = cycle.accrued_ticks + excluded.accrued_ticks
), held AS (
    INSERT INTO billing_hold (state, created_at, id, team_id, api_key_id, model, tokens,
        amount_ticks, expires_at)
    SELECT 'live', %(now)s, hold.* FROM jsonb_to_recordset(%(holds)s)
        AS hold (id uuid, team_id uuid, api_key_id uuid, model text, tokens bigint,
            amount_ticks bigint, expires_at timestamptz)
)
UPDATE billing_billingaccount AS account
SET held_ticks = held_ticks + moved.ticks, refused_month = coalesce(moved.refused, refused_month)
FROM jsonb_to_recordset(%(moved)s) AS moved (id uuid, ticks bigint, refused date)
WHERE account.team_id = moved.id
"""
