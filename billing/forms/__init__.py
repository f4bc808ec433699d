"""What people type on the billing pages."""

from billing.forms.cards import CARD_FIELDS, CardForm, MethodForm, SetupForm
from billing.forms.credits import BuyForm, PromoForm
from billing.forms.details import DetailsForm
from billing.forms.ledger import LedgerForm
from billing.forms.limits import AlertsForm, SpendingLimitForm
from billing.forms.topups import TopUpForm

__all__ = [
    "CARD_FIELDS",
    "AlertsForm",
    "BuyForm",
    "CardForm",
    "DetailsForm",
    "LedgerForm",
    "MethodForm",
    "PromoForm",
    "SetupForm",
    "SpendingLimitForm",
    "TopUpForm",
]
