"""Everything that can be asked of billing. Other apps import this and nothing below it."""

from billing.services.accounts import SpendingLimitError, set_hard_limit, set_spending_limit
from billing.services.balance import Balance, balance
from billing.services.grants import IdempotencyConflictError, expire_grants, grant

__all__ = [
    "Balance",
    "IdempotencyConflictError",
    "SpendingLimitError",
    "balance",
    "expire_grants",
    "grant",
    "set_hard_limit",
    "set_spending_limit",
]
