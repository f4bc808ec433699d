"""Where we tell django-allauth how this console differs from its defaults."""

from accounts.adapters.account import AccountAdapter
from accounts.adapters.factors import FactorAdapter
from accounts.adapters.social import SocialAdapter

__all__ = ["AccountAdapter", "FactorAdapter", "SocialAdapter"]
