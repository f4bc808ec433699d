"""Money for staff."""

from billing.admin import books, invoices, payments, promos, purchases, refunds, wishes

__all__ = ["books", "invoices", "payments", "promos", "purchases", "refunds", "wishes"]
