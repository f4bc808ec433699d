"""What the explorer shows: one view of a team's usage, asked of the store at one moment."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Final

from accounts.models import Team
from usage import rules, stores
from usage.rules import (
    Answer,
    Dimension,
    Filter,
    Granularity,
    Group,
    Measure,
    Period,
    Question,
    Range,
    Sums,
    Wanted,
)
from usage.rules.anomalies import WEEKS_BEFORE, Anomaly, find
from usage.services.naming import Name, Owners, names, owners

MOST_SERIES: Final = 12  # As many as have a colour of their own.
# With less of a month behind one, what it will come to is a guess.
DAYS_TO_PROJECT: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSums:
    """What one group came to. `place` counts the largest from 1; the others have none."""

    value: str
    name: Name
    sums: Sums
    place: int | None


@dataclass(frozen=True, slots=True)
class Series:
    """The height of each bar, or of a part of it: ticks, or a number of things."""

    name: str
    values: Sequence[int]
    place: int | None = None  # None for "Other".


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What is compared: the range before, up to the time that this one has come to."""

    range: Range
    until: datetime
    total: int
    values: Sequence[int]  # Of its own periods; empty unless they were asked for.

    @property
    def label(self) -> str:
        """Name what is compared: "16 to 22 Feb 2026, up to 12:00"."""
        compared = replace(self.range, end=self.until, preset=None)
        if not self.range.is_days or compared.is_days:
            return compared.label
        label = rules.range_label(compared.first, compared.last)
        return f"{label}, up to {self.until.astimezone(self.range.zone):%H:%M}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dearest:
    """The key or model that cost the most."""

    name: Name
    cost_ticks: int
    share: float  # Of all, in percent.


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that a view of the explorer shows. Sums have only the billing items that are wanted."""

    wanted: Wanted
    periods: Sequence[Period]
    by_period: Sequence[Sums]
    total: Sums
    groups: Sequence[GroupSums]  # The largest first; of no grouping, none.
    series: Sequence[Series]
    before: Before
    projected: int | None  # What the month comes to at its pace so far.
    dearest_key: Dearest | None
    dearest_model: Dearest | None
    anomalies: Mapping[date, Anomaly]

    @property
    def measured(self) -> int:
        return self.wanted.measure.of(self.total)

    @property
    def change(self) -> float | None:
        """How much more it is than before, in percent; None where there was nothing."""
        if not self.before.total:
            return None
        return 100 * (self.measured - self.before.total) / self.before.total


def explore(team: Team, wanted: Wanted, *, now: datetime) -> Report:
    """Gather a view. Raises StoreUnavailableError if the store does not answer."""
    shown = rules.periods(wanted.range, wanted.granularity, now=now)
    starts = _utc([*(period.begin for period in shown), shown[-1].end])
    ask = _asker(team, wanted)
    with stores.reading():
        overall = _Overall(wanted, starts, now, ask)
        grouped = _grouped(team, wanted, starts, overall.by_period, ask)
        whole = (starts[0], starts[-1])
        keys = (
            grouped.by_key
            if grouped.by_key is not None
            else ask(whole, Dimension.API_KEY, Measure.COST)
        )
        models = (
            grouped.answer
            if wanted.group is Group.MODEL
            else ask(whole, Dimension.MODEL, Measure.COST)
        )
        total = _sum(overall.by_period)
        return Report(
            wanted=wanted,
            periods=shown,
            by_period=overall.by_period,
            total=total,
            groups=grouped.groups,
            series=grouped.series,
            before=overall.before(),
            projected=_projected(wanted.range, wanted.measure.of(total), now),
            dearest_key=_dearest(team, Group.API_KEY, keys, total),
            dearest_model=_dearest(team, Group.MODEL, models, total),
            anomalies=overall.anomalies(shown),
        )


# --- Asking the store -------------------------------------------------------------------------

Ask = Callable[..., Answer]
# Without what each billing item cost.
SHOWN: Final = ("requests", "failed", "cost_ticks", *rules.ITEMS)


def _asker(team: Team, wanted: Wanted) -> Ask:
    """Make the function that asks for the view's requests: starts, group, measure, more filters.

    Of a measure, the sums have only what it needs; without one, all that a table can show.
    """
    store, items, filters = stores.current(), wanted.items, wanted.filters.of_store()
    is_parted = len(items) < len(rules.ITEMS) or wanted.stacked_by is Group.TOKEN_TYPE
    shown = Sums._fields if is_parted else SHOWN

    def ask(
        starts: Sequence[datetime],
        group: Dimension | None = None,
        measure: Measure | None = None,
        *more: Filter,
    ) -> Answer:
        question = Question(
            team_id=team.pk,
            starts=tuple(starts),
            zone=wanted.range.zone,
            group=group,
            filters=(*filters, *more),
            measures=measure.names(items) if measure else shown,
        )
        answer = store.query(question)
        if len(items) == len(rules.ITEMS):
            return answer
        return {key: rules.of_items(sums, items) for key, sums in answer.items()}

    return ask


@dataclass(frozen=True, slots=True, kw_only=True)
class _Grouped:
    groups: list[GroupSums]
    series: list[Series]
    answer: Answer
    by_key: Answer | None = None


def _grouped(
    team: Team, wanted: Wanted, starts: Sequence[datetime], by_period: Sequence[Sums], ask: Ask
) -> _Grouped:
    group, of = wanted.stacked_by, wanted.measure.of
    if group is None or group.dimension is None:
        return _of_items(wanted, by_period) if group else _of_nothing(wanted, by_period)

    answer = ask((starts[0], starts[-1]), group.dimension)
    values = [value for _, value in answer]
    owned = owners(team, values) if group is Group.MEMBER else None
    folded = _folded(answer, owned)
    # The largest first, and those that are alike always in the same order.
    largest = sorted(
        ((value, sums) for (_, value), sums in folded.items()),
        key=lambda one: (-of(one[1]), -one[1].cost_ticks, one[0]),
    )
    top = [value for value, _ in largest[:MOST_SERIES]]
    only = []
    if len(largest) > MOST_SERIES:
        kept = [value for value in values if (owned.of_keys[value] if owned else value) in top]
        only.append(Filter(group.dimension, frozenset(kept)))
    inside = ask(starts, group.dimension, wanted.measure, *only)
    heights: dict[str, list[int]] = defaultdict(lambda: [0] * len(by_period))
    for (number, value), sums in inside.items():
        heights[owned.of_keys[value] if owned else value][number] += of(sums)
    named = owned.names if owned else names(team, group, [value for value, _ in largest])
    groups = [
        GroupSums(
            value=value,
            name=named[value],
            sums=sums,
            place=place if place <= MOST_SERIES else None,
        )
        for place, (value, sums) in enumerate(largest, 1)
    ]
    series = [Series(one.name.text, heights[one.value], one.place) for one in groups[:MOST_SERIES]]
    if len(groups) > MOST_SERIES:
        whole = [of(sums) for sums in by_period]
        rest = [
            all_ - sum(parts)
            for all_, *parts in zip(whole, *(one.values for one in series), strict=True)
        ]
        series.append(Series(f"Other ({len(groups) - MOST_SERIES:,})", rest))
    by_key = answer if group.dimension is Dimension.API_KEY else None
    return _Grouped(groups=groups, series=series, answer=answer, by_key=by_key)


NOTHING: Final = Sums()


def _of_nothing(wanted: Wanted, by_period: Sequence[Sums]) -> _Grouped:
    values = [wanted.measure.of(sums) for sums in by_period]
    series = [Series(wanted.measure.noun, values, 1)]
    return _Grouped(groups=[], series=series, answer={})


def _of_items(wanted: Wanted, by_period: Sequence[Sums]) -> _Grouped:
    """Tell billing items apart, which are parts of every sum."""
    measure = wanted.measure
    total = rules.by_item(_sum(by_period), wanted.items)
    used = [item for item in total if any(total[item])] or list(total)
    largest = sorted(used, key=lambda item: (-measure.of(total[item]), rules.ITEMS.index(item)))
    groups = [
        GroupSums(value=item, name=Name(rules.label_of(item)), sums=total[item], place=place)
        for place, item in enumerate(largest, 1)
    ]
    series = [
        Series(one.name.text, [measure.of_item(sums, one.value) for sums in by_period], one.place)
        for one in groups
    ]
    return _Grouped(groups=groups, series=series, answer={})


def _folded(answer: Answer, owned: Owners | None) -> Answer:
    """Make keys their owners', if it is asked for these."""
    if owned is None:
        return answer
    folded: dict[tuple[int, str], Sums] = {}
    for (number, key_id), sums in answer.items():
        place = (number, owned.of_keys[key_id])
        folded[place] = folded[place].plus(sums) if place in folded else sums
    return folded


def _sum(many: Sequence[Sums]) -> Sums:
    return Sums(*map(sum, zip(*many, strict=True))) if many else NOTHING


def _utc(moments: Sequence[datetime]) -> tuple[datetime, ...]:
    return tuple(moment.astimezone(UTC) for moment in moments)


# --- By time, and what was before -------------------------------------------------------------


class _Overall:
    """The range by period, and the time before it: to compare, and to know what is usual."""

    def __init__(self, wanted: Wanted, starts: Sequence[datetime], now: datetime, ask: Ask) -> None:
        self._wanted, self._now = wanted, now
        self._range, self._until = wanted.range.before(), rules.cut_at(wanted.range, now)
        self._days = self._days_before() if self._tells_days else []
        compared = self._range.starts(wanted.granularity) if wanted.compares else []
        # All of it at once. What was before ends where the range begins.
        moments = sorted({self._range.begin, self._until, *compared, *self._days, *starts})
        self._places = {moment: place for place, moment in enumerate(moments)}
        answer = ask(moments)
        self._sums = [answer.get((number, ""), NOTHING) for number in range(len(moments) - 1)]
        self.by_period = self._sums[self._places[starts[0]] :]

    @property
    def _tells_days(self) -> bool:
        wanted = self._wanted
        return wanted.granularity is Granularity.DAY and wanted.measure is Measure.COST

    def _days_before(self) -> list[datetime]:
        range_ = self._wanted.range
        first = range_.first - timedelta(weeks=WEEKS_BEFORE)
        before = Range.of_days(first, range_.first - timedelta(days=1), range_.zone)
        return before.starts(Granularity.DAY)

    def _between(self, begin: datetime, end: datetime) -> Sums:
        return _sum(self._sums[self._places[begin] : self._places[end]])

    def before(self) -> Before:
        measure = self._wanted.measure
        values = []
        if self._wanted.compares:
            starts = self._range.starts(self._wanted.granularity)
            values = [measure.of(self._between(*span)) for span in pairwise(starts)]
        return Before(
            range=self._range,
            until=self._until,
            total=measure.of(self._between(self._range.begin, self._until)),
            values=values,
        )

    def anomalies(self, shown: Sequence[Period]) -> dict[date, Anomaly]:
        """Find the days that cost far more or less than usual, if days and costs are shown."""
        if not self._tells_days:
            return {}
        zone = self._wanted.range.zone
        days = [
            (begin.astimezone(zone).date(), self._between(begin, end))
            for begin, end in pairwise(self._days)
        ]
        # Part of a day says nothing about the day.
        days += [
            (period.begin.date(), sums)
            for period, sums in zip(shown, self.by_period, strict=True)
            if not period.is_cut
        ]
        # Days before the first request say nothing about what is usual.
        first = next((place for place, (_, sums) in enumerate(days) if sums.requests), len(days))
        costs = {day: sums.cost_ticks for day, sums in days[first:]}
        today = self._now.astimezone(zone).date()
        return find(costs, first=self._wanted.range.first, last=shown[-1].begin.date(), today=today)


# --- The cards --------------------------------------------------------------------------------


def _dearest(team: Team, group: Group, answer: Answer, total: Sums) -> Dearest | None:
    if not total.cost_ticks:
        return None
    value, sums = max(
        ((value, sums) for (_, value), sums in answer.items()),
        key=lambda one: (one[1].cost_ticks, one[0]),
    )
    return Dearest(
        name=names(team, group, [value])[value],
        cost_ticks=sums.cost_ticks,
        share=100 * sums.cost_ticks / total.cost_ticks,
    )


def _projected(range_: Range, measured: int, now: datetime) -> int | None:
    """Say what the running month comes to at its pace so far, if the range is that month."""
    first = range_.first
    if not range_.is_days or first.day != 1 or not range_.begin <= now < range_.end:
        return None
    month = Range.of_days(first, rules.months_before(first, -1) - timedelta(days=1), range_.zone)
    passed = now - month.begin
    if not measured or range_.end > month.end or passed < timedelta(days=DAYS_TO_PROJECT):
        return None
    # In whole seconds, as ticks are more than floats tell apart.
    return measured * int((month.end - month.begin).total_seconds()) // int(passed.total_seconds())
