"""Files of single requests in the making, piece by piece.

A large file holds the requests that existed when its job began: the events up to one number, of
which none can appear later. So it can be made in short transactions, show how far it is, be stopped
and go on after a crash, and still is of one moment.
"""

import gzip
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from allauth.account.adapter import get_adapter
from django.db import OperationalError, transaction
from django.db.models import Q, QuerySet
from procrastinate.contrib.django import app

from accounts.models import Membership, User
from accounts.rules import Permission
from usage.models import UsageEvent, UsageExport, UsageExportPart
from usage.rules.requests import Search
from usage.services import files
from usage.services.feeding import decided_seq
from usage.services.requests import matching, named

PART_ROWS: Final = 5_000
KEPT_FOR: Final = timedelta(days=7)
_State: Final = UsageExport.State
ACTIVE: Final = (_State.WAITING, _State.RUNNING)


def advance(export_id: UUID, *, now: datetime, part_rows: int = PART_ROWS) -> bool:
    """Bring a file one step further, and say whether there is more to do now.

    Two jobs at one file do no harm: what one has found counts only if the file is still where it
    was. While something is looked for nothing is locked, so a file can be cancelled at any time.
    """
    rows = UsageExport.across_teams.filter(pk=export_id, state__in=ACTIVE)
    seen = rows.select_related("team").first()
    if seen is None:
        return False
    write = _next_step(seen, part_rows, now)
    if write is None:
        return False  # For now: `sweep_exports` tries again.
    with transaction.atomic():
        export = rows.select_for_update(of=("self",)).select_related("team", "asked_by").first()
        if export is None:
            return False
        if not readers_of([export]):
            export.delete()
            return False
        if _place(export) != _place(seen):
            return False  # Another job is at it.
        export.touched_at = now
        write(export)
        export.save()
        return export.is_active


def _place(export: UsageExport) -> tuple[int | None, int | None, int]:
    return export.upto_seq, export.rows_total, export.rows_done


def _next_step(
    seen: UsageExport, part_rows: int, now: datetime
) -> Callable[[UsageExport], None] | None:
    """Find what the file needs next, and say how to write it to the file once that is locked.

    None where it has not begun and cannot yet, because somebody goes on writing requests.
    """
    if seen.upto_seq is None:
        try:
            upto_seq = decided_seq()
        except OperationalError:
            return None

        def begin(export: UsageExport) -> None:
            export.state, export.upto_seq = _State.RUNNING, upto_seq

        return begin
    rows = matching(seen.team, Search.from_json(seen.query)).filter(seq__lte=seen.upto_seq)
    if seen.rows_total is None:
        total = rows.count()

        def count(export: UsageExport) -> None:
            export.rows_total = total

        return count
    return _next_part(seen, rows, part_rows, now)


def _next_part(
    seen: UsageExport, rows: QuerySet[UsageEvent], part_rows: int, now: datetime
) -> Callable[[UsageExport], None]:
    if seen.last_id:
        follows = Q(at__lt=seen.last_at) | Q(id__lt=seen.last_id)
        rows = rows.filter(follows, at__lte=seen.last_at)
    events = list(rows.order_by("-at", "-id")[:part_rows])
    content = files.rows(named(seen.team, events))
    if not seen.bytes:
        content = files.header() + content
    compressed = gzip.compress(content)

    def write(export: UsageExport) -> None:
        if content:
            number = UsageExportPart.of(export.team).filter(export=export).count()
            UsageExportPart(
                team=export.team, export=export, number=number, content=compressed
            ).save(force_insert=True)
        export.bytes += len(content)
        export.rows_done += len(events)
        if len(events) == part_rows:
            export.last_at, export.last_id = events[-1].at, events[-1].pk
        else:
            end(export, _State.READY, now)
            _tell(export)

    return write


def _tell(export: UsageExport) -> None:
    get_adapter().send_mail(
        "usage/email/export_ready",
        export.asked_by.email,
        {"user": export.asked_by, "team": export.team, "export": export, "days": KEPT_FOR.days},
    )


def fail_export(export_id: UUID, *, now: datetime) -> None:
    """Say that a file could not be made. What there is of it stays, for another try."""
    rows = UsageExport.across_teams.filter(pk=export_id, state__in=ACTIVE)
    rows.update(state=_State.FAILED, finished_at=now)


def end(export: UsageExport, state: UsageExport.State, now: datetime) -> None:
    export.state, export.finished_at = state, now
    export.save()


def go_on(export_id: UUID) -> None:
    """Have a job go on with the file."""
    # Without a lock of the queue's, which a worker that is killed would keep for ever.
    app.configure_task("usage.tasks.make_export").defer(export_id=str(export_id))


def readers_of(exports: Iterable[UsageExport]) -> set[tuple[UUID, UUID]]:
    """List the teams and people of these files who are still to see the teams' usage."""
    exports = list(exports)
    memberships = Membership.objects.filter(
        team__in={export.team_id for export in exports},
        user__in={export.asked_by_id for export in exports},
    ).filter(user__in=User.objects.present())
    return {
        (one.team_id, one.user_id)
        for one in memberships
        if Permission.USAGE_READ in one.permissions
    }
