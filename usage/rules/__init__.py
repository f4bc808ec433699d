"""The words, ranges, sums and questions of usage, pure."""

from usage.rules.covering import Grain, Piece, Size, cover, start_of_day
from usage.rules.days import days_between, quarter_of, starts_of_days
from usage.rules.filters import Field, FilterError, Filters
from usage.rules.ids import LONGEST_REQUEST, first_id, moment_of
from usage.rules.items import (
    FAILURE_STATUS,
    MILLION,
    TICKS_PER_USD,
    TOKEN_LABELS,
    Item,
    in_words,
    label_of,
)
from usage.rules.periods import Period, axis_words, cut_at, periods
from usage.rules.questions import ITEMS, Answer, Dimension, Filter, Question, Sums, reads
from usage.rules.ranges import (
    MOST_DAYS,
    Granularity,
    Preset,
    Range,
    day_label,
    months_before,
    range_label,
)
from usage.rules.sums import DayTotal, Total
from usage.rules.wanted import BY_PERIOD, Group, Measure, Wanted, by_item, of_items, units

__all__ = [
    "BY_PERIOD",
    "FAILURE_STATUS",
    "ITEMS",
    "LONGEST_REQUEST",
    "MILLION",
    "MOST_DAYS",
    "TICKS_PER_USD",
    "TOKEN_LABELS",
    "Answer",
    "DayTotal",
    "Dimension",
    "Field",
    "Filter",
    "FilterError",
    "Filters",
    "Grain",
    "Granularity",
    "Group",
    "Item",
    "Measure",
    "Period",
    "Piece",
    "Preset",
    "Question",
    "Range",
    "Size",
    "Sums",
    "Total",
    "Wanted",
    "axis_words",
    "by_item",
    "cover",
    "cut_at",
    "day_label",
    "days_between",
    "first_id",
    "in_words",
    "label_of",
    "moment_of",
    "months_before",
    "of_items",
    "periods",
    "quarter_of",
    "range_label",
    "reads",
    "start_of_day",
    "starts_of_days",
    "units",
]
