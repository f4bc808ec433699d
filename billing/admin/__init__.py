"""Money for staff."""

from billing.admin import books, promos

__all__ = ["books", "promos"]
