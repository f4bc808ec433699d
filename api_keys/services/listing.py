"""Find a team's keys as its pages show them: searched, filtered, sorted and cut."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final
from uuid import UUID

from django.core.paginator import Page, Paginator
from django.db.models import F, Value
from django.db.models.functions import Coalesce, Lower, NullIf

from accounts.models import Membership, User
from api_keys.models import ApiKey, ApiKeyQuerySet, KeyMonth
from api_keys.services.keys import visible_to

# What a list can be sorted by. "-" turns the order around; "last_used" has the latest last.
ORDERS: Final[dict[str, Any]] = {
    "name": Lower("name"),
    "owner": Lower(Coalesce(NullIf("owner__name", Value("")), "owner__email")),
    "created": F("created_at"),
    "expires": F("expires_at"),
    "last_used": F("last_used_at"),
    "spent": F("spent_ticks"),
}
NEWEST_FIRST: Final = "-created"


@dataclass(frozen=True, slots=True)
class KeyQuery:
    """Which keys to list, in which order."""

    words: str = ""
    status: ApiKey.Status | None = None
    owner_id: UUID | None = None
    order: str = NEWEST_FIRST


def month_of(now: datetime) -> date:
    """Name the month that spending is counted in: the first day of the UTC calendar month."""
    return now.astimezone(UTC).date().replace(day=1)


def page(
    membership: Membership, query: KeyQuery, *, number: str | int | None, size: int, now: datetime
) -> "Page[Any]":
    """Cut one page out of the keys that a member may see.

    A key of 100,000 is found by its id alone; only those that are shown are read.
    """
    keys = visible_to(membership)
    if query.words:
        keys = keys.found_by(query.words)
    if query.status:
        keys = keys.in_status(query.status, now)
    if query.owner_id:
        keys = keys.filter(owner=query.owner_id)
    ids = Paginator(_sorted(keys, query.order, now).values_list("pk", flat=True), size)
    cut = ids.get_page(number)
    found: list[Any] = list(cut.object_list)
    rows = visible_to(membership).filter(pk__in=found).select_related("owner")
    by_id = {key.pk: key for key in rows.with_spent(month_of(now))}
    shown: list[Any] = [by_id[pk] for pk in found if pk in by_id]
    return Page(shown, cut.number, ids)


def _sorted(keys: ApiKeyQuerySet, order: str, now: datetime) -> ApiKeyQuerySet:
    name = order.removeprefix("-")
    by = ORDERS[name]
    if name == "created":  # As the indexes have it.
        return keys.newest_first() if order != name else keys.order_by("created_at", "id")
    if name == "spent":
        keys = keys.with_spent(month_of(now))
    # Never and nobody come last, whichever way around.
    turned = by.asc(nulls_last=True) if order == name else by.desc(nulls_last=True)
    return keys.order_by(turned, "-created_at", "id")


def owners(membership: Membership) -> list[User]:
    """List the people whose keys a member may see, by name."""
    ids = visible_to(membership).order_by().values("owner").distinct()
    return sorted(User.objects.filter(pk__in=ids), key=lambda user: user.display_name.casefold())


def months_of(key: ApiKey, *, limit: int) -> list[KeyMonth]:
    """List what the key cost by UTC month, the latest first."""
    return list(KeyMonth.of(key.team).filter(key=key).order_by("-month")[:limit])
