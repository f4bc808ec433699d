"""Money for staff."""

from billing.admin import books, promos, purchases

__all__ = ["books", "promos", "purchases"]
