"""Everything that can be asked of billing. Other apps import this and nothing below it."""

from billing.models import CreditGrant
from billing.payments import Card
from billing.rules import (
    HIGHEST_TIER,
    TICKS_PER_USD,
    BillingItem,
    Ceiling,
    Line,
    Prices,
    completion_price_ticks,
    cycle_of,
    lines_for,
    prompt_bound_ticks,
    usd,
)
from billing.services.accounts import lock_account, lock_accounts
from billing.services.balance import Balance, balance
from billing.services.books import Books, HoldRequest, Refusal, Settled, Settlement
from billing.services.closing import close_account, closing
from billing.services.countries import countries
from billing.services.details import (
    Details,
    DetailsChangedError,
    details,
    details_of,
    forget_details,
    save_details,
)
from billing.services.exports import ledger_csv
from billing.services.grants import (
    GrantStanding,
    IdempotencyConflictError,
    Standing,
    expire_grants,
    grant,
    standings,
)
from billing.services.holds import release, renew, reserve, settle, sweep, tokens_in_flight
from billing.services.ledger import Difference, differences, ledger_size, recent_entries, snapshot
from billing.services.ledger_page import LedgerPage, Movement, Wanted, ledger_page
from billing.services.limits import (
    AlertPercentsError,
    SpendingLimitError,
    set_alert_percents,
    set_hard_limit,
    set_spending_limit,
)
from billing.services.notices import send_notices
from billing.services.outlook import Outlook, outlook
from billing.services.people import bought_by, forget_buyer
from billing.services.promos import (
    PromoCodeError,
    PromoTerms,
    as_kept,
    create_promo_code,
    forget_redeemer,
    redeem,
    redeemed_by,
    switch_promo_code,
)
from billing.services.purchases import (
    PurchaseAmountError,
    PurchaseExpiredError,
    begin,
    confirm,
    pay,
    reconcile,
    reconcile_all,
)
from billing.services.tax_ids import TaxNumberError, tax_id_types
from billing.services.tiers import NoSuchTierError, TierStanding, set_least_tier, tier

GrantKind = CreditGrant.Kind

__all__ = [
    "HIGHEST_TIER",
    "TICKS_PER_USD",
    "AlertPercentsError",
    "Balance",
    "BillingItem",
    "Books",
    "Card",
    "Ceiling",
    "Details",
    "DetailsChangedError",
    "Difference",
    "GrantKind",
    "GrantStanding",
    "HoldRequest",
    "IdempotencyConflictError",
    "LedgerPage",
    "Line",
    "Movement",
    "NoSuchTierError",
    "Outlook",
    "Prices",
    "PromoCodeError",
    "PromoTerms",
    "PurchaseAmountError",
    "PurchaseExpiredError",
    "Refusal",
    "Settled",
    "Settlement",
    "SpendingLimitError",
    "Standing",
    "TaxNumberError",
    "TierStanding",
    "Wanted",
    "as_kept",
    "balance",
    "begin",
    "bought_by",
    "close_account",
    "closing",
    "completion_price_ticks",
    "confirm",
    "countries",
    "create_promo_code",
    "cycle_of",
    "details",
    "details_of",
    "differences",
    "expire_grants",
    "forget_buyer",
    "forget_details",
    "forget_redeemer",
    "grant",
    "ledger_csv",
    "ledger_page",
    "ledger_size",
    "lines_for",
    "lock_account",
    "lock_accounts",
    "outlook",
    "pay",
    "prompt_bound_ticks",
    "recent_entries",
    "reconcile",
    "reconcile_all",
    "redeem",
    "redeemed_by",
    "release",
    "renew",
    "reserve",
    "save_details",
    "send_notices",
    "set_alert_percents",
    "set_hard_limit",
    "set_least_tier",
    "set_spending_limit",
    "settle",
    "snapshot",
    "standings",
    "sweep",
    "switch_promo_code",
    "tax_id_types",
    "tier",
    "tokens_in_flight",
    "usd",
]
