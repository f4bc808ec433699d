"""Ranges of time: every named one, in every kind of zone, cut into spans without gap or overlap."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usage.rules import Granularity, Preset, Range, axis_words, periods

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = [
    "UTC",
    "Europe/Berlin",
    "Asia/Kathmandu",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "America/Santiago",  # Where some days begin at one o'clock.
    "Pacific/Apia",  # Which left out 30 December 2011.
    "Pacific/Kiritimati",
]
NOW = datetime(2026, 11, 21, 13, 20, tzinfo=UTC)


def range_of(first: str, last: str, zone: str = "UTC") -> Range:
    return Range.of_moments(
        datetime.fromisoformat(first) if "T" in first else date.fromisoformat(first),
        datetime.fromisoformat(last) if "T" in last else date.fromisoformat(last),
        ZoneInfo(zone),
    )


@pytest.mark.parametrize(
    ("preset", "first", "last"),
    [
        (Preset.TODAY, "2026-11-21", "2026-11-21"),
        (Preset.WEEK, "2026-11-15", "2026-11-21"),
        (Preset.THIRTY_DAYS, "2026-10-23", "2026-11-21"),
        (Preset.MONTH, "2026-11-01", "2026-11-21"),
        (Preset.LAST_MONTH, "2026-10-01", "2026-10-31"),
        (Preset.NINETY_DAYS, "2026-08-24", "2026-11-21"),
        (Preset.YEAR, "2026-01-01", "2026-11-21"),
        (Preset.TWELVE_MONTHS, "2025-12-01", "2026-11-21"),
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "America/St_Johns", "Asia/Kathmandu"])
def test_a_named_range_is_of_whole_days_where_the_reader_is(
    preset: Preset, first: str, last: str, zone: str
) -> None:
    range_ = Range.of_preset(preset, ZoneInfo(zone), NOW)

    assert range_ == Range(
        begin=range_of(first, last, zone).begin,
        end=range_of(first, last, zone).end,
        zone=ZoneInfo(zone),
        preset=preset,
    )
    assert (range_.first, range_.last) == (date.fromisoformat(first), date.fromisoformat(last))
    assert range_.is_days


@pytest.mark.parametrize("zone", ZONES)
def test_24_hours_are_the_running_hour_and_the_23_before_it(zone: str) -> None:
    range_ = Range.of_preset(Preset.LAST_DAY, ZoneInfo(zone), NOW)

    assert range_.end - range_.begin == timedelta(hours=24)
    assert range_.end - timedelta(hours=1) <= NOW < range_.end
    assert range_.end.astimezone(ZoneInfo(zone)).minute == 0
    assert len(range_.starts(Granularity.HOUR)) == 25


@settings(max_examples=150, deadline=None)
@given(
    first=st.dates(date(2000, 1, 1), date(2030, 12, 31)),
    days=st.integers(1, 400),
    quarters=st.none() | st.tuples(st.integers(0, 95), st.integers(1, 95)),
    zone=st.sampled_from(ZONES),
    preset=st.none() | st.sampled_from(Preset),
)
def test_every_range_is_cut_into_spans_that_begin_where_the_last_ends(
    first: date, days: int, quarters: tuple[int, int] | None, zone: str, preset: Preset | None
) -> None:
    where = ZoneInfo(zone)
    if preset:
        range_ = Range.of_preset(preset, where, datetime.combine(first, datetime.min.time(), UTC))
    elif quarters:
        begin = datetime.combine(first, datetime.min.time(), where).astimezone(UTC)
        begin += quarters[0] * timedelta(minutes=15)
        range_ = Range.of_moments(begin, begin + quarters[1] * timedelta(minutes=15), where)
    else:
        range_ = Range.of_moments(first, first + timedelta(days=days - 1), where)
    if range_.begin >= range_.end:  # The day that was left out.
        return

    for granularity in range_.granularities():
        starts = range_.starts(granularity)

        assert (starts[0], starts[-1]) == (range_.begin, range_.end)
        assert all(one < following for one, following in pairwise(starts))
        assert all(start.timestamp() % 900 == 0 for start in starts)
        assert len(starts) <= 31 * 25 + 1
        for start in starts[1:-1]:
            local = start.astimezone(where)
            if granularity is Granularity.WEEK:
                assert local.weekday() == 0
            if granularity is Granularity.MONTH:
                assert local.day == 1
    before = range_.before()
    assert before.begin < before.end <= range_.begin


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-11-21", 24)]
)
def test_a_day_has_as_many_hours_as_its_clock_strikes(day: str, hours: int) -> None:
    range_ = range_of(day, day, "Europe/Berlin")

    assert len(range_.starts(Granularity.HOUR)) == hours + 1
    assert len(range_.starts(Granularity.QUARTER)) == 4 * hours + 1
    assert range_.length == timedelta(days=1)


@pytest.mark.parametrize(
    ("first", "last", "fitting", "usual"),
    [
        ("2026-11-21T13:00", "2026-11-21T13:15", "15m", "15m"),
        ("2026-11-21T13:00", "2026-11-21T14:00", "15m", "15m"),
        ("2026-11-21", "2026-11-21", "15m hour", "hour"),
        ("2026-10-24", "2026-10-25", "15m hour day", "hour"),
        ("2026-11-01", "2026-11-03", "hour day", "day"),
        ("2026-11-01", "2026-11-08", "hour day week", "day"),
        ("2026-10-01", "2026-10-31", "hour day week", "day"),
        ("2026-10-01", "2026-11-01", "day week month", "day"),
        ("2025-01-01", "2025-12-31", "day week month", "week"),
        ("2024-01-01", "2025-01-01", "week month", "week"),
        ("2020-01-01", "2026-01-01", "month", "month"),
    ],
)
def test_a_range_is_cut_only_into_what_makes_sense(
    first: str, last: str, fitting: str, usual: str
) -> None:
    range_ = range_of(first, last, "Europe/Berlin")

    assert " ".join(range_.granularities()) == fitting
    assert range_.usual() == usual


def test_what_does_not_fit_falls_to_the_nearest_that_does() -> None:
    year, day = range_of("2025-01-01", "2025-12-31"), range_of("2025-01-01", "2025-01-01")

    assert year.nearest(Granularity.QUARTER) == Granularity.DAY
    assert day.nearest(Granularity.MONTH) == Granularity.HOUR
    assert day.nearest(Granularity.QUARTER) == Granularity.QUARTER


def test_what_has_not_begun_yet_is_no_span() -> None:
    today = Range.of_preset(Preset.TODAY, BERLIN, NOW)

    starts = today.starts(Granularity.HOUR, until=NOW)

    assert starts[-2] <= NOW < starts[-1]
    assert len(starts) == 16  # Berlin's hours from 0 to 14, and when the last of them ends.
    assert today.starts(Granularity.HOUR, until=today.begin - timedelta(days=1)) == [
        today.begin,
        today.begin + timedelta(hours=1),
    ]


@pytest.mark.parametrize(
    ("range_", "label"),
    [
        (Range.of_preset(Preset.TODAY, BERLIN, NOW), "20 Nov 2026"),
        (Range.of_preset(Preset.WEEK, BERLIN, NOW), "8 to 14 Nov 2026"),
        (Range.of_preset(Preset.MONTH, BERLIN, NOW), "1 to 21 Oct 2026"),
        (Range.of_preset(Preset.LAST_MONTH, BERLIN, NOW), "1 to 30 Sep 2026"),
        (Range.of_preset(Preset.YEAR, BERLIN, NOW), "1 Jan to 21 Nov 2025"),
        (Range.of_preset(Preset.TWELVE_MONTHS, BERLIN, NOW), "1 Dec 2024 to 21 Nov 2025"),
        (Range.of_preset(Preset.LAST_DAY, BERLIN, NOW), "19 Nov 2026, 15:00 to 20 Nov 2026, 15:00"),
        (
            Range.of_preset(Preset.MONTH, BERLIN, datetime(2026, 3, 31, 9, tzinfo=UTC)),
            "1 to 28 Feb 2026",
        ),
        (range_of("2026-11-01T13:00", "2026-11-01T14:00"), "1 Nov 2026, 12:00 to 13:00"),
        (range_of("2026-11-05", "2026-11-06"), "3 to 4 Nov 2026"),
    ],
)
def test_a_range_is_compared_with_the_one_of_its_kind_before_it(range_: Range, label: str) -> None:
    assert range_.before().label == label


@pytest.mark.parametrize(
    "range_",
    [
        range_of("2026-11-01", "2026-11-21", "Europe/Berlin"),
        range_of("2026-10-25T02:00+02:00", "2026-10-25T02:00+01:00", "Europe/Berlin"),
        range_of("2026-10-25T02:00+01:00", "2026-10-25T03:00", "Europe/Berlin"),
        range_of("2026-10-25T01:45", "2026-10-25T02:15", "Australia/Lord_Howe"),
    ],
)
def test_a_range_written_into_an_address_is_read_back_as_the_same(range_: Range) -> None:
    written = dict(range_.pairs())

    assert range_of(written["from"], written["to"], range_.zone.key) == range_


@settings(max_examples=100, deadline=None)
@given(
    first=st.dates(date(2000, 1, 1), date(2030, 12, 31)),
    days=st.integers(1, 200),
    zone=st.sampled_from(ZONES),
)
def test_what_stands_between_two_others_is_whole(first: date, days: int, zone: str) -> None:
    range_ = Range.of_moments(first, first + timedelta(days=days), ZoneInfo(zone))

    for granularity in range_.granularities():
        shown = periods(range_, granularity, now=range_.end)

        assert not [period.label for period in shown[1:-1] if period.is_cut]


def test_ten_years_between_far_zones_are_cut_into_months() -> None:
    decade = range_of("2016-03-01T00:00+14:00", "2026-03-01T23:45-11:45")

    assert decade.granularities() == [Granularity.MONTH]
    assert len(periods(decade, decade.usual(), now=decade.end)) < 130


def test_a_few_quarter_hours_are_named_one_by_one() -> None:
    hour = range_of("2026-11-01T13:00", "2026-11-01T14:00")

    named = axis_words(periods(hour, Granularity.QUARTER, now=hour.end), Granularity.QUARTER)

    assert [word for _, word in named] == ["13:00", "13:15", "13:30", "13:45"]
