"""Comparing what the stores say that requests came to: they have to agree to the tick."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from usage import stores
from usage.models import UsageEvent, UsageSeries
from usage.rules import Answer, Dimension, Question, Sums
from usage.services.refilling import required_clickhouse
from usage.stores import Store

UTC_ZONE: Final = ZoneInfo("UTC")
DAY: Final = timedelta(days=1)
# What has a time outside of these is found as well, though not by month.
BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_MONTH: Final = datetime(2020, 1, 1, tzinfo=UTC)
END: Final = datetime(2100, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Difference:
    """A team's requests in a span of time, perhaps of one value, that are summed differently."""

    team_id: UUID
    start: datetime
    end: datetime
    dimension: Dimension | None
    text: str
    stores: tuple[str, str]
    sums: tuple[Sums, Sums]

    def __str__(self) -> str:
        what = f", {self.dimension} {self.text!r}" if self.dimension else ""
        first, second = self.stores
        measures = "; ".join(
            f"{name} {one:,} in {first}, {other:,} in {second}"
            for name, one, other in zip(Sums._fields, *self.sums, strict=True)
            if one != other
        )
        return f"Team {self.team_id}, {self._period}{what}: {measures}"

    @property
    def _period(self) -> str:
        if self.end - self.start == DAY:
            return f"{self.start:%Y-%m-%d}"
        return f"from {self.start:%Y-%m-%d} to before {self.end:%Y-%m-%d}"


def store_differences(*, now: datetime) -> Iterator[Difference]:
    """Find what ClickHouse sums differently from PostgreSQL: by month, then by day, in UTC.

    Where the sums are the same, those of each key, model, cluster and address are compared, too.
    Raises NoClickHouseError and StoreUnavailableError.
    """
    other = required_clickhouse()
    of_series = UsageSeries.across_teams.values_list("team_id", flat=True)
    of_events = UsageEvent.across_teams.values_list("team_id", flat=True)
    for team_id in sorted({*of_series.distinct(), *of_events.distinct()}):
        with stores.reading():
            yield from _Compared(team_id, stores.at_hand(), other).differences(now)


class _Compared:
    """A team in two stores."""

    def __init__(self, team_id: UUID, first: Store, second: Store) -> None:
        self._team_id = team_id
        self._stores = (first, second)

    def differences(self, now: datetime) -> Iterator[Difference]:
        months = [BEGINNING, *_months(now), END]
        unlike = list(self._unlike(months, None))
        for month in unlike:
            inside = month.start > BEGINNING and month.end < END
            yield from self._unlike(_days(month), None) if inside else [month]
        if not unlike:
            for dimension in Dimension:
                if next(self._unlike([BEGINNING, END], dimension), None):
                    yield from self._unlike(months, dimension)

    def _unlike(
        self, starts: Sequence[datetime], dimension: Dimension | None
    ) -> Iterator[Difference]:
        question = Question(
            team_id=self._team_id, starts=tuple(starts), zone=UTC_ZONE, group=dimension
        )
        one, other = (store.query(question) for store in self._stores)
        for span, text in sorted(one.keys() | other.keys()):
            sums = (_of(one, span, text), _of(other, span, text))
            if sums[0] != sums[1]:
                yield Difference(
                    team_id=self._team_id,
                    start=starts[span],
                    end=starts[span + 1],
                    dimension=dimension,
                    text=text,
                    stores=(self._stores[0].name, self._stores[1].name),
                    sums=sums,
                )


def _of(answer: Answer, span: int, text: str) -> Sums:
    return answer.get((span, text), Sums())


def _months(now: datetime) -> Iterator[datetime]:
    month = FIRST_MONTH
    # One more, to end the last.
    while month <= now + 32 * DAY:
        yield month
        month = (month + 32 * DAY).replace(day=1)


def _days(month: Difference) -> list[datetime]:
    return [month.start + DAY * number for number in range((month.end - month.start).days + 1)]
