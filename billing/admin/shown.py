"""How rows read in the admin: amounts in dollars, months by name, codes as sentences."""

import re
from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.formats import date_format
from django.utils.html import format_html

from billing import payments
from billing.rules import TICKS_PER_CENT, usd

Column = Callable[[Any, Any], str]


def dollars(field: str, description: str) -> Column:
    """Make a column of a table: ticks or cents, whichever the field counts, in dollars."""
    ticks = TICKS_PER_CENT if field.endswith("_cents") else 1

    @admin.display(description=description)
    def column(_self: Any, row: Any) -> str:
        return format_html('<span class="nowrap">{}</span>', usd(getattr(row, field) * ticks))

    return column


@admin.display(description="Month")
def named_month(_self: Any, row: Any) -> str:
    """Make a column that names the month which a row is about, kept as its first day."""
    return date_format(row.month, "F Y") if row.month else "-"


def reason_of(code: str) -> str:
    """Say why nothing was paid: what the customer reads, and the processor's code."""
    return f"{payments.reason(code)} ({code})" if code else "-"


class PlainNews:
    """Says what was done as the rest of the console does: it was done, not done successfully."""

    def message_user(self, request: HttpRequest, message: Any, *args: Any, **kwargs: Any) -> None:
        # What is marked as safe HTML stays it: nothing but words of Django's own is taken out.
        plain = re.sub(r"\b(was (added|changed)) successfully", r"\1", message)
        super().message_user(request, type(message)(plain), *args, **kwargs)  # type: ignore[misc]
