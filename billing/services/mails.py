"""Mail to a team about its money, in the transaction that it tells of."""

from collections.abc import Iterator, Mapping
from typing import Any

from allauth.account.adapter import get_adapter

from accounts.models import Membership, Team, User
from accounts.rules import Permission
from billing.models import BillingDetails


def send_mail(team: Team, name: str, words: Mapping[str, Any]) -> None:
    """Mail a template of `billing/email/` to everybody who is to read about the team's money."""
    for address, about in _readers(team):
        get_adapter().send_mail(f"billing/email/{name}", address, {"team": team, **words, **about})


def _readers(team: Team) -> Iterator[tuple[str, dict[str, Any]]]:
    """Say who is told: the team's billing e-mail, or else all who may change billing."""
    address = BillingDetails.of(team).values_list("email", flat=True).first()
    if address:
        yield address, {}
        return
    present = Membership.objects.filter(team=team, user__in=User.objects.present())
    for membership in present.select_related("user").order_by("joined_at", "pk"):
        if Permission.BILLING_WRITE in membership.permissions:
            yield membership.user.email, {"user": membership.user}
