"""Mail about money, as tests bring it about: limits, requests, and the job of each minute."""

from datetime import datetime, timedelta
from uuid import uuid4

import time_machine
from django.core import mail
from django.core.mail import EmailMessage

from accounts.actors import SYSTEM, Actor, ActorKind
from accounts.models import Team
from billing import services as billing
from billing import tasks
from billing.rules import BillingItem, Line, months_later
from tests.factories import NOON

MINUTE = timedelta(minutes=1)
STAFF = Actor(ActorKind.STAFF, "Sam Support")
NEXT_MONTH = months_later(NOON, 1)


def usd(amount: float) -> int:
    return round(amount * billing.TICKS_PER_USD)


def set_limit(team: Team, dollars: float, now: datetime = NOON) -> None:
    billing.set_spending_limit(team=team, actor=SYSTEM, limit_ticks=usd(dollars), now=now)


def set_percents(team: Team, *percents: int) -> None:
    billing.set_alert_percents(team=team, actor=SYSTEM, percents=percents, now=NOON)


def ask(team: Team, dollars: float, now: datetime = NOON) -> billing.Ceiling | billing.Refusal:
    request = billing.HoldRequest(uuid4(), team.pk, usd(dollars), 0, 1)
    [answer] = billing.reserve([request], now=now, until=now + MINUTE)
    if isinstance(answer, billing.Ceiling):
        lines = [Line(BillingItem.COMPLETION, 1, usd(dollars))]
        settlement = billing.Settlement(request.request_id, team.pk, "atlas", lines)
        billing.settle([settlement], now=now)
    return answer


def told(now: datetime = NOON) -> list[EmailMessage]:
    """Run the job of each minute, and return what it mailed."""
    before = len(mail.outbox)
    with time_machine.travel(now, tick=False):
        tasks.send_notices(timestamp=0)
    return mail.outbox[before:]


def subjects(now: datetime = NOON) -> list[str]:
    return [str(message.subject) for message in told(now)]
