"""Credits and what used them up. Every number here is explained by rows that are never changed."""

from billing.models.accounts import BillingAccount, BillingCycle, Notice
from billing.models.credits import CreditGrant, LedgerEntry
from billing.models.details import BillingDetails
from billing.models.invoices import Invoice, InvoiceSeries
from billing.models.promos import PromoCode, PromoRedemption
from billing.models.purchases import Purchase, SandboxPayment
from billing.models.requests import Charge, Hold

__all__ = [
    "BillingAccount",
    "BillingCycle",
    "BillingDetails",
    "Charge",
    "CreditGrant",
    "Hold",
    "Invoice",
    "InvoiceSeries",
    "LedgerEntry",
    "Notice",
    "PromoCode",
    "PromoRedemption",
    "Purchase",
    "SandboxPayment",
]
