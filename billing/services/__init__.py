"""Everything that can be asked of billing. Other apps import this and nothing below it."""

from billing.rules import (
    BillingItem,
    Ceiling,
    Line,
    Prices,
    completion_price_ticks,
    lines_for,
    prompt_bound_ticks,
)
from billing.services.accounts import (
    SpendingLimitError,
    lock_account,
    lock_accounts,
    set_hard_limit,
    set_spending_limit,
)
from billing.services.balance import Balance, balance
from billing.services.grants import IdempotencyConflictError, expire_grants, grant
from billing.services.holds import (
    Books,
    HoldRequest,
    Refusal,
    Settled,
    Settlement,
    release,
    renew,
    reserve,
    settle,
    sweep,
)
from billing.services.invoices import issue_receipt
from billing.services.ledger import Difference, differences, ledger_size, snapshot
from billing.services.purchases import (
    PurchaseAmountError,
    PurchaseExpiredError,
    begin,
    confirm,
    pay,
    reconcile,
    reconcile_all,
)

__all__ = [
    "Balance",
    "BillingItem",
    "Books",
    "Ceiling",
    "Difference",
    "HoldRequest",
    "IdempotencyConflictError",
    "Line",
    "Prices",
    "PurchaseAmountError",
    "PurchaseExpiredError",
    "Refusal",
    "Settled",
    "Settlement",
    "SpendingLimitError",
    "balance",
    "begin",
    "completion_price_ticks",
    "confirm",
    "differences",
    "expire_grants",
    "grant",
    "issue_receipt",
    "ledger_size",
    "lines_for",
    "lock_account",
    "lock_accounts",
    "pay",
    "prompt_bound_ticks",
    "reconcile",
    "reconcile_all",
    "release",
    "renew",
    "reserve",
    "set_hard_limit",
    "set_spending_limit",
    "settle",
    "snapshot",
    "sweep",
]
