"""Money for staff."""

from billing.admin import books, promos, purchases, refunds

__all__ = ["books", "promos", "purchases", "refunds"]
