"""How money reads on a page: `{{ ticks|usd }}`."""

from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from django import template

from billing.rules import usd_from_ticks

register = template.Library()

_CENT: Final = Decimal("0.01")
_SIGNIFICANT_DIGITS: Final = 4


@register.filter
def usd(ticks: int | None) -> str:
    """Write an amount: to the cent from a dollar on, below with the digits that it needs.

    What a request costs is often a fraction of a cent, and a row of "$0.00" tells nobody anything.
    """
    if ticks is None:
        return ""
    amount = usd_from_ticks(abs(ticks))
    places = 2
    if 0 < amount < 1:
        # The first digit that is not nought, and three more.
        places = max(2, _SIGNIFICANT_DIGITS - 1 - amount.adjusted())
    rounded = amount.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP).normalize()
    if rounded == rounded.quantize(_CENT):
        rounded = rounded.quantize(_CENT)
    sign = "\N{MINUS SIGN}" if ticks < 0 else ""
    return f"{sign}${rounded:,f}"
