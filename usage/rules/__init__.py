"""The words, ranges, sums and questions of usage, pure."""

from usage.rules.days import days_between, quarter_of, starts_of_days
from usage.rules.filters import Field, FilterError, Filters
from usage.rules.items import (
    CACHED,
    COUNTED_BY,
    FAILED,
    FAILURE_STATUS,
    MILLION,
    PROMPT_TOKENS,
    TICKS_PER_USD,
    TOKEN_LABELS,
    Item,
    counted,
    in_order,
    in_words,
    label_of,
)
from usage.rules.questions import ITEMS, Answer, Dimension, Filter, Question, Sums
from usage.rules.ranges import (
    MOST_DAYS,
    Granularity,
    Preset,
    Range,
    day_label,
    range_label,
)
from usage.rules.sums import DayTotal, Total, Used

__all__ = [
    "CACHED",
    "COUNTED_BY",
    "FAILED",
    "FAILURE_STATUS",
    "ITEMS",
    "MILLION",
    "MOST_DAYS",
    "PROMPT_TOKENS",
    "TICKS_PER_USD",
    "TOKEN_LABELS",
    "Answer",
    "DayTotal",
    "Dimension",
    "Field",
    "Filter",
    "FilterError",
    "Filters",
    "Granularity",
    "Item",
    "Preset",
    "Question",
    "Range",
    "Sums",
    "Total",
    "Used",
    "counted",
    "day_label",
    "days_between",
    "in_order",
    "in_words",
    "label_of",
    "quarter_of",
    "range_label",
    "starts_of_days",
]
