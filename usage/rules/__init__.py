"""The words, ranges, sums and questions of usage, pure."""

from usage.rules.days import (
    Preset,
    day_label,
    days_between,
    quarter_of,
    range_label,
    starts_of_days,
)
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
from usage.rules.sums import DayTotal, Total, Used

__all__ = [
    "CACHED",
    "COUNTED_BY",
    "FAILED",
    "FAILURE_STATUS",
    "ITEMS",
    "MILLION",
    "PROMPT_TOKENS",
    "TICKS_PER_USD",
    "TOKEN_LABELS",
    "Answer",
    "DayTotal",
    "Dimension",
    "Filter",
    "Item",
    "Preset",
    "Question",
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
