"""What a team is told about its money by mail: once a month each, and by whoever comes first."""

import logging
from datetime import date, datetime
from typing import Final
from uuid import UUID

from django.db import connection, transaction

from accounts.models import Team
from accounts.one_by_one import one_by_one
from billing.models import Notice
from billing.rules import begin_of, cycle_of, months_later
from billing.services.balance import balance
from billing.services.mails import send_mail

logger = logging.getLogger(__name__)

# Every percentage that was reached, and every team that ran out, of which nobody was told. What
# happened in a month is no news in the next, in which the limit is whole again. The biggest limits
# times a hundred do not fit a bigint.
NEWS: Final = """
SELECT news.team_id, news.kind, news.number FROM (
    SELECT cycle.team_id, 'limit' AS kind, percent AS number
    FROM billing_billingcycle cycle
    JOIN billing_billingaccount account ON account.team_id = cycle.team_id
    CROSS JOIN LATERAL (VALUES (least(spending_limit_ticks, hard_limit_ticks))) AS allowed (ticks)
    CROSS JOIN LATERAL unnest(account.alert_percents) AS percent
    WHERE cycle.month = %(month)s AND allowed.ticks > 0
        AND cycle.accrued_ticks * 100::numeric >= allowed.ticks * percent::numeric
    UNION ALL
    SELECT team_id, 'refused', 0 FROM billing_billingaccount WHERE refused_month = %(month)s
) AS news
JOIN accounts_team team ON team.id = news.team_id AND team.closed_at IS NULL
WHERE NOT EXISTS (
    SELECT FROM billing_notice told
    WHERE told.team_id = news.team_id AND told.month = %(month)s
        AND told.kind = news.kind AND told.number = news.number
)
"""
TEAMS_WITH_NEWS: Final = f"SELECT DISTINCT team_id FROM ({NEWS}) AS news ORDER BY team_id"  # noqa: S608
# Two workers at once: the second waits for the first, and then has nothing to tell.
TELL: Final = f"""
INSERT INTO billing_notice (team_id, month, kind, number, sent_at)
SELECT team_id, %(month)s, kind, number, %(now)s FROM ({NEWS}) AS news WHERE team_id = %(team)s
ON CONFLICT DO NOTHING RETURNING kind
"""  # noqa: S608 -- from constants


def send_notices(*, now: datetime) -> None:
    """Mail every team that has news. One that cannot be told does not keep the rest waiting."""
    month = cycle_of(now)
    with connection.cursor() as cursor:
        cursor.execute(TEAMS_WITH_NEWS, {"month": month})
        teams = [team_id for (team_id,) in cursor.fetchall()]
    with one_by_one(logger) as each:
        for team_id in teams:
            with each("Team %s could not be told its news", team_id):
                _tell(team_id, month, now)


@transaction.atomic
def _tell(team_id: UUID, month: date, now: datetime) -> None:
    """Write down what is told, and mail it. Several percentages at once are one mail."""
    with connection.cursor() as cursor:
        cursor.execute(TELL, {"team": team_id, "month": month, "now": now})
        kinds = {kind for (kind,) in cursor.fetchall()}
    if not kinds:
        return
    team = Team.objects.get(pk=team_id)
    words = {
        "month": month,
        "resets_on": months_later(begin_of(month), 1).date(),
        "balance": balance(team, now=now),
    }
    if Notice.Kind.LIMIT in kinds:
        send_mail(team, "limit_reached", words)
    if Notice.Kind.REFUSED in kinds:
        send_mail(team, "requests_refused", words)
