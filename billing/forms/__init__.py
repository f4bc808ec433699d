"""What people type on the billing pages."""

from billing.forms.cards import CardForm
from billing.forms.credits import BuyForm, PromoForm
from billing.forms.details import DetailsForm
from billing.forms.ledger import LedgerForm
from billing.forms.limits import AlertsForm, SpendingLimitForm

__all__ = [
    "AlertsForm",
    "BuyForm",
    "CardForm",
    "DetailsForm",
    "LedgerForm",
    "PromoForm",
    "SpendingLimitForm",
]
