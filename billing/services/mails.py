"""Mail to a team about its money, in the transaction that it tells of."""

from collections.abc import Mapping
from typing import Any

from allauth.account.adapter import get_adapter

from accounts.models import Membership, Team, User
from accounts.rules import Permission
from billing.models import BillingDetails


def send_mail(team: Team, name: str, words: Mapping[str, Any]) -> None:
    """Mail a template of `billing/email/` to everybody who is to read about the team's money."""
    for address in _readers(team):
        # Without a `user`: it is about a team, whichever account reads it.
        get_adapter().send_mail(f"billing/email/{name}", address, {"team": team, **words})


def _readers(team: Team) -> list[str]:
    """Say who is told: the team's billing e-mail, or else all who may change billing, each once."""
    address = BillingDetails.of(team).values_list("email", flat=True).first()
    if address:
        return [address]
    present = Membership.objects.filter(team=team, user__in=User.objects.present())
    memberships = present.select_related("user").order_by("joined_at", "pk")
    may_pay = [m.user.email for m in memberships if Permission.BILLING_WRITE in m.permissions]
    return list(dict.fromkeys(may_pay))  # One address can be that of several accounts.
