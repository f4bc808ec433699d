"""Single requests: a page of them, newest first, or one by its id."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import reduce
from operator import or_
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import Q, QuerySet

from accounts.models import Team
from api_keys import services as api_keys
from api_keys.services import NamedKey
from usage import stores
from usage.models import UsageEvent
from usage.rules import FAILURE_STATUS, ITEMS, Filters, Group, Item, Question, label_of
from usage.rules.filters import Choice, Field
from usage.rules.ranges import DAY, HOUR
from usage.rules.requests import Search, Status, Stretch, cut, stretches
from usage.services import naming
from usage.stores import StoreUnavailableError

_UTC: Final = ZoneInfo("UTC")
_INSTANT: Final = timedelta(microseconds=1)
MANY: Final = 10**18
COLUMNS: Final = {
    "api_key": "api_key_id",
    "model": "model",
    "cluster": "cluster",
    "ip": "ip",
}


@dataclass(frozen=True, slots=True)
class ShownItem:
    """One billing item of a request."""

    label: str
    quantity: int
    cost_ticks: int


@dataclass(frozen=True, slots=True)
class ShownRequest:
    """A request with the words that pages and files need."""

    event: UsageEvent
    key: NamedKey | None  # None: nobody knows the key any more.

    @property
    def is_failed(self) -> bool:
        return self.event.status >= FAILURE_STATUS

    @property
    def first_token_s(self) -> float | None:
        ms = self.event.first_token_ms
        return None if ms is None else ms / 1000

    @property
    def total_s(self) -> float:
        return self.event.latency_ms / 1000

    @property
    def quantities(self) -> list[int]:
        """How much of each billing item was used, in the order of the price list."""
        used = {item: quantity for item, quantity, _ in items_of(self.event)}
        return [used.get(item, 0) for item in ITEMS]

    @property
    def tokens(self) -> int:
        return sum(self.quantities)

    @property
    def items(self) -> list[ShownItem]:
        """What was used, in the order of the price list."""
        return [
            ShownItem(label_of(item), quantity, ticks)
            for item, quantity, ticks in items_of(self.event)
            if quantity or ticks
        ]


@dataclass(frozen=True, slots=True)
class RequestsPage:
    """Some requests in a row, newest first, and whether there are more on either side."""

    requests: list[ShownRequest]
    has_newer: bool
    has_older: bool


@dataclass(frozen=True, slots=True)
class Narrowing:
    """One value of a filter, with what people call it."""

    choice: Choice
    value: str
    name: str

    @property
    def words(self) -> str:
        """In words: "Model is not atlas-8b"."""
        verb = "is not" if self.choice.is_not else "is"
        return f"{self.choice.field.label} {verb} {self.name}"


def items_of(event: UsageEvent) -> list[Item]:
    """Say what the request used: billing item, quantity and cost in ticks."""
    return [(item, getattr(event, item), getattr(event, f"{item}_ticks")) for item in ITEMS]


def find(team: Team, request_id: UUID) -> ShownRequest | None:
    """Find one of the team's requests by the x-request-id that its answer carried."""
    event = UsageEvent.of(team).filter(pk=request_id).first()
    return named(team, [event])[0] if event else None


def page(
    team: Team,
    search: Search,
    *,
    size: int,
    older_than: UUID | None = None,
    newer_than: UUID | None = None,
) -> RequestsPage:
    """Cut one page out of what is looked for, beside a request that the reader has seen.

    As audit does it: requests come in while one reads, and the thousandth page costs what the first
    does. An unknown request leads to the newest page.
    """
    beside = older_than or newer_than
    seen = UsageEvent.of(team).filter(pk=beside).first() if beside else None
    if seen and newer_than:
        newer = replace(search, begin=max(search.begin, seen.at))
        rows = _rows(team, newer, size=size, newest_first=False)
        rows = rows.filter(Q(at__gt=seen.at) | Q(id__gt=seen.pk)).order_by("at", "id")
        found = list(rows[: size + 1])
        if len(found) > size:
            return RequestsPage(named(team, found[size - 1 :: -1]), has_newer=True, has_older=True)
        seen = None  # The newest page, and then all of it.
    if seen:
        # What is at the same instant may still follow on the page.
        search = replace(search, end=min(search.end, seen.at + _INSTANT))
    rows = _rows(team, search, size=size, newest_first=True)
    if seen:
        rows = rows.filter(Q(at__lt=seen.at) | Q(id__lt=seen.pk))
    found = list(rows.order_by("-at", "-id")[: size + 1])
    return RequestsPage(
        named(team, found[:size]), has_newer=seen is not None, has_older=len(found) > size
    )


def count(team: Team, search: Search) -> int:
    """Ask the store how many requests can be found, at most: one may use none of the items."""
    days = cut(Stretch(search.begin, search.end), DAY)
    return sum(_counts(team, search, [days[0], days[-1]]).values())


def matching(team: Team, search: Search) -> QuerySet[UsageEvent]:
    """Choose the requests that are looked for, in no order."""
    rows = UsageEvent.of(team).filter(at__gte=search.begin, at__lt=search.end)
    for choice in search.filters.choices:
        if choice.field.dimension:
            inside = {f"{COLUMNS[choice.field]}__in": choice.values}
            rows = rows.exclude(**inside) if choice.is_not else rows.filter(**inside)
    if search.items:
        rows = rows.filter(_uses_one_of(search.items))
    if search.status is Status.FAILED:
        return rows.filter(status__gte=FAILURE_STATUS)
    if search.status is Status.ANSWERED:
        return rows.filter(status__lt=FAILURE_STATUS)
    return rows


def named(team: Team, events: Iterable[UsageEvent]) -> list[ShownRequest]:
    """Put the keys' names to their requests."""
    events = list(events)
    keys = api_keys.named_keys(team, {event.api_key_id for event in events})
    return [ShownRequest(event, keys.get(event.api_key_id)) for event in events]


def narrowings(team: Team, *several: Filters) -> list[list[Narrowing]]:
    """Name what each of these filters leaves, value by value. All names are asked for at once."""
    values: dict[Field, set[str]] = {}
    for choice in (choice for filters in several for choice in filters.choices):
        values.setdefault(choice.field, set()).update(choice.values)
    names = {
        field: naming.names(team, Group(field.value), found) for field, found in values.items()
    }
    return [
        [
            Narrowing(choice, value, names[choice.field][value].full)
            for choice in filters.choices
            for value in choice.values
        ]
        for filters in several
    ]


def _uses_one_of(items: Iterable[str]) -> Q:
    return reduce(or_, (Q(**{f"{item}__gt": 0}) for item in items))


def _rows(team: Team, search: Search, *, size: int, newest_first: bool) -> QuerySet[UsageEvent]:
    """Choose what is looked for, where little is, only from the hours that have any.

    There is no index by model or address: each would cost every request. The store knows when
    there was something, first by day and then by hour, so that a key that asked three times in a
    year of millions of others is found in three hours.
    """
    rows = matching(team, search)
    if not search.is_narrowed or search.begin >= search.end:
        return rows
    inside = Stretch(search.begin, search.end)
    found = [inside]
    # How many requests used an item, no store knows: all days on which it was used are looked at.
    steps, enough = ((DAY,), MANY) if search.items else ((DAY, HOUR), size + 2)
    for step in steps:
        starts = sorted({start for stretch in found for start in cut(stretch, step)})
        try:
            counts = _counts(team, search, starts)
        except StoreUnavailableError:
            return rows  # Slowly, but found.
        found = stretches(starts, counts, inside=inside, enough=enough, newest_first=newest_first)
        if not found:
            return rows.none()
    return rows.filter(reduce(or_, (Q(at__gte=one.begin, at__lt=one.end) for one in found)))


def _counts(team: Team, search: Search, starts: Sequence[datetime]) -> dict[int, int]:
    """Ask the store how many requests can be found in each of these spans, at most."""
    question = Question(
        team_id=team.pk, starts=tuple(starts), zone=_UTC, filters=search.filters.of_store()
    )
    answer = stores.current().query(question)
    return {number: search.count(sums) for (number, _), sums in answer.items()}
