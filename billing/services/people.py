"""What billing keeps about persons: who bought what, and how little of it outlives them."""

from typing import Any

from accounts.models import Team, User
from accounts.services import KnownAs
from billing.models import CreditGrant, PaymentMethod, Purchase


def bought_by(user: User) -> list[dict[str, Any]]:
    """List a person's purchases in all teams, as their own copy of their data shows them."""
    purchases = Purchase.across_teams.filter(buyer=user).select_related("team")
    return [
        {
            "id": purchase.pk,
            "team": purchase.team.name,
            "amount_cents": purchase.amount_cents,
            "status": purchase.get_status_display(),
            "card": purchase.paid_with,
            "created_at": purchase.created_at,
            "completed_at": purchase.completed_at,
        }
        for purchase in purchases.order_by("created_at", "pk")
    ]


def methods_of(user: User) -> list[dict[str, Any]]:
    """List the cards that a person entered for any team. Nobody here has their numbers."""
    methods = PaymentMethod.across_teams.filter(added_by=user).select_related("team")
    return [
        {
            "team": method.team.name,
            "card": method.name,
            "expires": method.expiry,
            "country": method.country,
            "added_at": method.added_at,
            "removed_at": method.removed_at,
        }
        for method in methods.order_by("added_at", "pk")
    ]


def forget_buyer(*, user: User, team: Team, known: KnownAs) -> None:
    """Take an erased person's name off the credits that they bought or that their team was given.

    Amounts, dates and the purchase itself stay, and so do invoices as they were issued: the law
    has them kept.
    """
    bought = Purchase.across_teams.filter(buyer=user).exclude(kind=Purchase.Kind.AUTO)
    for purchase in bought.select_related("team").order_by("pk"):
        grants = CreditGrant.of(purchase.team).filter(idempotency_key=purchase.grant_key)
        grants.update(label=f"Bought by {user.pseudonym}")
    words = [word.lower() for word in (*known.names, *known.addresses)]
    for grant in CreditGrant.of(team).order_by("pk"):
        if any(word in grant.label.lower() for word in words):
            # Staff worded it, so nobody knows how the name stands in it.
            CreditGrant.of(team).filter(pk=grant.pk).update(label=grant.get_kind_display())
