"""Credits and what used them up. Every number here is explained by rows that are never changed."""

from billing.models.accounts import BillingAccount, BillingCycle
from billing.models.credits import CreditGrant, LedgerEntry
from billing.models.invoices import Invoice, InvoiceSeries
from billing.models.purchases import Purchase, SandboxPayment
from billing.models.requests import Charge, Hold

__all__ = [
    "BillingAccount",
    "BillingCycle",
    "Charge",
    "CreditGrant",
    "Hold",
    "Invoice",
    "InvoiceSeries",
    "LedgerEntry",
    "Purchase",
    "SandboxPayment",
]
