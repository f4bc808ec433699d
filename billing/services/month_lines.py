"""What a month's requests add up to: a line per model, billing item and unit price."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final

from django.db import connection

from accounts.models import Team
from billing.rules import BillingItem, begin_of, cents_from_ticks, cycle_of, months_later

# One pass over the charges. A line of a request is [item, quantity, unit price]; the loss is what
# a request used beyond its hold, and is nobody's debt.
_SUMS: Final = """
WITH charge AS MATERIALIZED (
    SELECT date_trunc('month', charged_at AT TIME ZONE 'UTC')::date AS month, model, lines,
        loss_ticks
    FROM billing_charge
    WHERE team_id = %(team)s AND charged_at >= %(since)s AND charged_at < %(until)s
        AND date_trunc('month', charged_at AT TIME ZONE 'UTC')::date = ANY(%(months)s)
)
SELECT month, model, line ->> 0, (line ->> 2)::bigint,
    sum((line ->> 1)::bigint), sum((line ->> 1)::bigint * (line ->> 2)::bigint)
FROM charge CROSS JOIN LATERAL jsonb_array_elements(lines) AS line
GROUP BY 1, 2, 3, 4
UNION ALL
SELECT month, '', '', 0, 0, -sum(loss_ticks) FROM charge GROUP BY 1 HAVING sum(loss_ticks) > 0
"""
# Of the line that takes off what nobody owes.
UNCHARGED: Final = "Used but not charged"
_ORDER: Final = {item.value: place for place, item in enumerate(BillingItem)}


def lines_of(team: Team, *, month: date, months: Sequence[date]) -> list[dict[str, Any]]:
    """Sum up what requests of some months cost, as lines of the bill of one of them.

    Those of an earlier month name it. The ticks of all lines are what the months charged.
    """
    if not months:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            _SUMS,
            {
                "team": team.pk,
                "since": begin_of(min(months)),
                "until": _end_of(max(months)),
                "months": list(months),
            },
        )
        rows = cursor.fetchall()
    # The loss is the last of its month.
    rows.sort(key=lambda row: (row[0], not row[1], row[1], _ORDER.get(row[2], 99), row[3]))
    return [_line(month, *row) for row in rows]


def _line(
    billed: date, month: date, model: str, item: str, price: int, quantity: Any, ticks: Any
) -> dict[str, Any]:
    line: dict[str, Any] = {
        "description": BillingItem(item).label if item else UNCHARGED,
        "ticks": int(ticks),
        "amount_cents": cents_from_ticks(int(ticks)),
    }
    if item:
        line |= {
            "model": model,
            "item": item,
            "quantity": int(quantity),
            "unit_price_ticks": price,
        }
    if month != billed:
        line["month"] = f"{month:%Y-%m}"
    return line


def _end_of(month: date) -> datetime:
    return begin_of(cycle_of(months_later(begin_of(month), 1)))
