"""How money reads on a page: `{{ ticks|usd }}`."""

from decimal import Decimal

from django import template

from billing import rules

register = template.Library()


@register.filter
def usd(ticks: int | None) -> str:
    """Write an amount as `rules.usd` does; nothing for no amount."""
    return "" if ticks is None else rules.usd(ticks)


@register.filter
def usd_cents(cents: int | None) -> str:
    """Write an amount as `rules.usd_cents` does; nothing for no amount."""
    return "" if cents is None else rules.usd_cents(cents)


@register.filter
def percent(part: Decimal) -> str:
    """Write a part of a hundred without the noughts after its point: `19%`, `7.5%`."""
    return f"{part.normalize():f}%"
