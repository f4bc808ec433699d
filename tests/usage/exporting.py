"""Files of single requests as tests ask for them, have them made and read them."""

import csv
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import UUID, uuid4

from django.urls import reverse

from accounts.actors import Actor
from accounts.models import Membership, Team, User
from tests.factories import NOON
from tests.usage.requests import make_record
from usage import services as usage
from usage.models import UsageExport
from usage.rules.requests import Search

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
EVERYTHING = Search(begin=NOON - 40 * DAY, end=NOON + DAY)


def make(team: Team, count: int, **fields: Any) -> None:
    usage.record([make_record(team, **fields) for _ in range(count)])


def ask(team: Team, user: User, search: Search = EVERYTHING, **fields: Any) -> UsageExport:
    usual: dict[str, Any] = {"export_id": uuid4(), "now": NOON}
    return usage.ask_export(
        team=team, actor=Actor.for_user(user), user=user, search=search, **usual | fields
    )


def finish(export: UsageExport, *, now: Any = NOON) -> UsageExport:
    while usage.advance_export(export.pk, now=now):
        pass
    export.refresh_from_db()
    return export


def cancel_for(team: Team, user: User, export: UsageExport) -> None:
    usage.cancel_export(
        membership=Membership.objects.get(team=team, user=user),
        actor=Actor.for_user(user),
        export_id=export.pk,
        now=NOON,
    )


def rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(content.decode())))


def page(name: str, team: Team, *args: UUID) -> str:
    return reverse(f"usage:{name}", args=[team.pk, *args])
