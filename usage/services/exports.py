"""Files of single requests: small ones at once, large ones by a job, which is in `making`."""

import gzip
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import Q

from accounts import services as accounts
from accounts.actors import Actor
from accounts.models import Membership, Team, User
from audit import services as audit
from usage.models import UsageExport, UsageExportPart
from usage.rules import Range
from usage.rules.filters import Filters
from usage.rules.requests import Search, Status
from usage.services import files
from usage.services.alerts import readers
from usage.services.making import ACTIVE, KEPT_FOR, end, go_on, readers_of
from usage.services.requests import count, matching, named, narrowings
from usage.stores import StoreUnavailableError

# What is written while somebody waits: so many rows, found among so many.
MOST_AT_ONCE: Final = 10_000
MOST_LOOKED_THROUGH: Final = 500_000
MOST_ROWS: Final = 5_000_000
MOST_ACTIVE: Final = 3
_State: Final = UsageExport.State
# A job that lives comes further within this. To begin takes a moment; to count, or to find a few
# rows among millions, takes minutes.
STALLED_AFTER: Final = {_State.WAITING: timedelta(minutes=2), _State.RUNNING: timedelta(minutes=15)}
SHOWN: Final = 50


@dataclass(frozen=True, slots=True)
class ShownExport:
    """A file with the words that a page needs."""

    export: UsageExport
    range: Range  # In the reader's time zone.
    narrowed: str


class TooManyExportsError(Exception):
    """The team has as many files being made as it can have."""

    def __init__(self) -> None:
        super().__init__(
            f"{MOST_ACTIVE} files are being made for this team, the most at a time. Wait for one "
            "of them, or cancel it."
        )


class TooLargeError(Exception):
    """One file cannot hold what was asked for."""

    def __init__(self, requests: int) -> None:
        super().__init__(
            f"These are about {requests:,} requests, and one file holds at most {MOST_ROWS:,}. "
            "Choose fewer days."
        )


class NoExportError(Exception):
    """The team has no such file, any more, or this person may not do that to it."""


# --- Asking -----------------------------------------------------------------------------------


def small_csv(*, team: Team, actor: Actor, search: Search, now: datetime) -> bytes | None:
    """Write what is looked for, newest first, or return None if that takes a job."""
    everything = replace(search, filters=Filters(), status=Status.ALL)
    if _count(team, everything) > MOST_LOOKED_THROUGH:
        return None
    # One statement, so all of it is of one moment.
    rows = matching(team, search).order_by("-at", "-id")
    events = list(rows[: MOST_AT_ONCE + 1])
    if len(events) > MOST_AT_ONCE:
        return None
    _record(team, actor, f"Downloaded {len(events):,} requests", search, now)
    return files.header() + files.rows(named(team, events))


def ask_export(
    *,
    team: Team,
    actor: Actor,
    user: User,
    search: Search,
    export_id: UUID,
    now: datetime,
) -> UsageExport:
    """Have a file made. To ask twice for the same, by one form or by two, is to ask once.

    Raises TooManyExportsError and TooLargeError.
    """
    # Before anything is locked: a store may take its time.
    if (requests := _count(team, search)) > MOST_ROWS:
        raise TooLargeError(requests)
    with transaction.atomic():
        team = accounts.lock_team(team)
        # A form that is sent again after its file was cancelled, or for something else, asks anew.
        again = Q(pk=export_id, state__in=(*ACTIVE, _State.READY))
        same = Q(asked_by=user, state__in=ACTIVE) | again
        if known := UsageExport.of(team).filter(same, query=search.as_json()).first():
            return known
        if UsageExport.across_teams.filter(pk=export_id).exists():
            export_id = uuid4()
        if UsageExport.of(team).filter(state__in=ACTIVE).count() >= MOST_ACTIVE:
            raise TooManyExportsError
        export = UsageExport(
            id=export_id,
            team=team,
            asked_by=user,
            asked_at=now,
            touched_at=now,
            query=search.as_json(),
        )
        export.save(force_insert=True)
        _record(team, actor, "Asked for a file of single requests", search, now, export)
        go_on(export.pk)
        return export


@transaction.atomic
def cancel_export(*, membership: Membership, actor: Actor, export_id: UUID, now: datetime) -> None:
    """Stop making a file, and forget what there is of it. One that is ready stays.

    Raises NoExportError.
    """
    export = _own(membership, export_id)
    if export.state in {*ACTIVE, _State.FAILED}:
        UsageExportPart.of(export.team).filter(export=export).delete()
        end(export, _State.CANCELLED, now)
        _record_change(export, actor, "Cancel", f"Cancelled {_whose(export)}", now)


@transaction.atomic
def retry_export(*, membership: Membership, actor: Actor, export_id: UUID, now: datetime) -> None:
    """Go on with a file where it failed. Raises NoExportError and TooManyExportsError."""
    team = accounts.lock_team(membership.team)
    export = _own(membership, export_id)
    if export.state != _State.FAILED:
        return
    if UsageExport.of(team).filter(state__in=ACTIVE).count() >= MOST_ACTIVE:
        raise TooManyExportsError
    export.state, export.touched_at, export.finished_at = _State.WAITING, now, None
    export.save(update_fields=["state", "touched_at", "finished_at"])
    _record_change(export, actor, "Retry", f"Went on with {_whose(export)}", now)
    go_on(export.pk)


def _count(team: Team, search: Search) -> int:
    """Say how many requests these are; a number of a middle size while nobody can say."""
    try:
        return count(team, search)
    except StoreUnavailableError:
        return MOST_ROWS


def _own(membership: Membership, export_id: UUID) -> UsageExport:
    rows = UsageExport.of(membership.team).filter(pk=export_id)
    if not membership.is_admin:
        rows = rows.filter(asked_by=membership.user_id)
    export = rows.select_for_update(of=("self",)).select_related("team", "asked_by").first()
    if export is None:
        raise NoExportError
    return export


def _whose(export: UsageExport) -> str:
    return f"the file of single requests that {export.asked_by.display_name} asked for"


# --- Reading ----------------------------------------------------------------------------------


def exports(team: Team, *, zone: ZoneInfo, now: datetime) -> list[ShownExport]:
    """List the team's files, newest first."""
    rows = UsageExport.of(team).filter(asked_at__gt=now - KEPT_FOR).select_related("asked_by")
    may_read = {membership.user_id for membership in readers(team)}
    newest = rows.filter(asked_by__in=may_read).order_by("-asked_at", "-pk")[:SHOWN]
    return shown_exports(team, newest, zone=zone)


def shown_exports(team: Team, found: Iterable[UsageExport], *, zone: ZoneInfo) -> list[ShownExport]:
    """Put what was asked for into words."""
    found = list(found)
    searches = [Search.from_json(export.query) for export in found]
    told = narrowings(team, *(search.filters for search in searches))
    shown = []
    for export, search, narrowed in zip(found, searches, told, strict=True):
        words = [one.words for one in narrowed]
        if search.status:
            words.append(f"{search.status.capitalize()} ones only")
        asked_for = Range(begin=search.begin, end=search.end, zone=zone)
        shown.append(ShownExport(export, asked_for, ", ".join(words)))
    return shown


def find_export(team: Team, export_id: UUID, *, now: datetime) -> UsageExport:
    """Find one of them. Raises NoExportError, also where its person may not see usage any more."""
    rows = UsageExport.of(team).filter(pk=export_id, asked_at__gt=now - KEPT_FOR)
    export = rows.select_related("asked_by", "team").first()
    if export is None or not readers_of([export]):
        raise NoExportError
    return export


def parts_of(export: UsageExport) -> Iterator[bytes]:
    """Read the file, a piece at a time."""
    parts = UsageExportPart.of(export.team).filter(export=export).order_by("number")
    for pk in list(parts.values_list("pk", flat=True)):
        content = parts.values_list("content", flat=True).get(pk=pk)
        yield gzip.decompress(content)


def exports_of(user: User) -> list[dict[str, Any]]:
    """List the files that a person asked for, for their own copy of their data."""
    rows = UsageExport.across_teams.filter(asked_by=user).select_related("team")
    return [
        {
            "team": export.team.name,
            "asked_at": export.asked_at,
            "asked_for": export.query,
            "state": export.state,
            "requests": export.rows_done,
        }
        for export in rows.order_by("asked_at", "pk")
    ]


# --- Ending -----------------------------------------------------------------------------------


def sweep_exports(*, now: datetime) -> None:
    """Delete files that are old or whose person went, and go on with those whose job died."""
    UsageExport.across_teams.filter(asked_at__lte=now - KEPT_FOR).delete()
    found = list(UsageExport.across_teams.only("pk", "team_id", "asked_by_id"))
    readable = readers_of(found)
    gone = [one.pk for one in found if (one.team_id, one.asked_by_id) not in readable]
    UsageExport.across_teams.filter(pk__in=gone).delete()
    stalled = UsageExport.across_teams.filter(
        Q(state=_State.WAITING, touched_at__lte=now - STALLED_AFTER[_State.WAITING])
        | Q(state=_State.RUNNING, touched_at__lte=now - STALLED_AFTER[_State.RUNNING])
    )
    for export in stalled:
        with transaction.atomic():
            if stalled.filter(pk=export.pk).update(touched_at=now):
                go_on(export.pk)


def delete_exports(team: Team, *, user: User | None = None) -> None:
    """Delete the team's files, and those that a person asked for anywhere."""
    whose = Q(team=team) | Q(asked_by=user) if user else Q(team=team)
    UsageExport.across_teams.filter(whose).delete()


def _record(
    team: Team,
    actor: Actor,
    description: str,
    search: Search,
    now: datetime,
    export: UsageExport | None = None,
) -> None:
    audit.record(
        team=team,
        actor=actor,
        operation="ExportUsage",
        description=description,
        target_type="usage export" if export else "",
        target_id=str(export.pk) if export else "",
        after=search.as_json(),
        is_change=False,
        now=now,
    )


def _record_change(
    export: UsageExport, actor: Actor, verb: str, description: str, now: datetime
) -> None:
    audit.record(
        team=export.team,
        actor=actor,
        operation=f"{verb}UsageExport",
        description=description,
        target_type="usage export",
        target_id=str(export.pk),
        now=now,
    )
