"""Where we tell django-allauth how this console differs from its defaults."""

from accounts.adapters.account import AccountAdapter
from accounts.adapters.factors import FactorAdapter

__all__ = ["AccountAdapter", "FactorAdapter"]
