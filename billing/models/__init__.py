"""Credits and what used them up. Every number here is explained by rows that are never changed."""

from billing.models.accounts import BillingAccount, BillingCycle, Notice
from billing.models.credits import CreditGrant, LedgerEntry
from billing.models.details import BillingDetails
from billing.models.invoices import Invoice, InvoiceSeries
from billing.models.payments import (
    Payment,
    PaymentMethod,
    ProcessorCustomer,
    ProcessorEvent,
    Receivable,
)
from billing.models.promos import PromoCode, PromoRedemption
from billing.models.purchases import Purchase, Refund
from billing.models.requests import Charge, Hold
from billing.models.sandbox import SandboxMethod, SandboxPayment, SandboxRefund
from billing.models.topups import TopUpRule

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
    "Payment",
    "PaymentMethod",
    "ProcessorCustomer",
    "ProcessorEvent",
    "PromoCode",
    "PromoRedemption",
    "Purchase",
    "Receivable",
    "Refund",
    "SandboxMethod",
    "SandboxPayment",
    "SandboxRefund",
    "TopUpRule",
]
