"""Everything that can be asked of billing. Other apps import this and nothing below it."""

from billing.models import CreditGrant
from billing.payments import Card
from billing.rules import (
    TICKS_PER_USD,
    BillingItem,
    Ceiling,
    Line,
    Prices,
    completion_price_ticks,
    cycle_of,
    lines_for,
    prompt_bound_ticks,
    tier_of,
    usd,
)
from billing.services.accounts import (
    SpendingLimitError,
    lock_account,
    lock_accounts,
    set_hard_limit,
    set_spending_limit,
)
from billing.services.balance import Balance, balance
from billing.services.books import Books, HoldRequest, Refusal, Settled, Settlement
from billing.services.closing import close_account, closing
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
from billing.services.people import bought_by, forget_buyer
from billing.services.purchases import (
    PurchaseAmountError,
    PurchaseExpiredError,
    begin,
    confirm,
    pay,
    reconcile,
    reconcile_all,
)
from billing.services.tiers import NoSuchTierError, TierStanding, set_least_tier, tier

GrantKind = CreditGrant.Kind

__all__ = [
    "TICKS_PER_USD",
    "Balance",
    "BillingItem",
    "Books",
    "Card",
    "Ceiling",
    "Difference",
    "GrantKind",
    "GrantStanding",
    "HoldRequest",
    "IdempotencyConflictError",
    "Line",
    "NoSuchTierError",
    "Prices",
    "PurchaseAmountError",
    "PurchaseExpiredError",
    "Refusal",
    "Settled",
    "Settlement",
    "SpendingLimitError",
    "Standing",
    "TierStanding",
    "balance",
    "begin",
    "bought_by",
    "close_account",
    "closing",
    "completion_price_ticks",
    "confirm",
    "cycle_of",
    "differences",
    "expire_grants",
    "forget_buyer",
    "grant",
    "ledger_size",
    "lines_for",
    "lock_account",
    "lock_accounts",
    "pay",
    "prompt_bound_ticks",
    "recent_entries",
    "reconcile",
    "reconcile_all",
    "release",
    "renew",
    "reserve",
    "set_hard_limit",
    "set_least_tier",
    "set_spending_limit",
    "settle",
    "snapshot",
    "standings",
    "sweep",
    "tier",
    "tier_of",
    "tokens_in_flight",
    "usd",
]
