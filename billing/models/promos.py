"""Promo codes, and who has used them."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from accounts.scoping import TeamDoor, TeamOwned
from billing.models.credits import CreditGrant


class PromoCode(models.Model):
    """A word that gives a team credits. Kept in capitals; typed as one likes."""

    code = models.CharField(max_length=40, unique=True)
    amount_ticks = models.BigIntegerField()
    # For how many days the credits can be used; empty: for ever.
    grant_days = models.PositiveSmallIntegerField(null=True, blank=True)
    valid_from = models.DateTimeField(null=True, blank=True)
    valid_until = models.DateTimeField(null=True, blank=True)
    max_uses = models.PositiveIntegerField(null=True, blank=True)  # By all teams together.
    uses_per_team = models.PositiveSmallIntegerField(default=1)
    # Only for a team that has bought nothing yet.
    first_purchase_only = models.BooleanField(default=False)
    uses = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField()
    disabled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(amount_ticks__gt=0), name="promo_code_positive"),
            models.CheckConstraint(
                condition=Q(max_uses=None) | Q(uses__lte=models.F("max_uses")),
                name="promo_code_not_overused",
            ),
            models.CheckConstraint(
                condition=Q(code=models.functions.Upper("code")), name="promo_code_in_capitals"
            ),
        ]

    def __str__(self) -> str:
        return self.code


class PromoRedemption(TeamOwned):
    """One use of a code by a team, and the credits it gave."""

    code = models.ForeignKey(PromoCode, on_delete=models.PROTECT, related_name="+")
    nth = models.PositiveSmallIntegerField()  # Of the team's uses of this code.
    grant = models.OneToOneField(CreditGrant, on_delete=models.PROTECT, related_name="+")
    redeemed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    redeemed_at = models.DateTimeField()
    # A form that is sent twice redeems once.
    idempotency_key = models.CharField(max_length=40)

    of = TeamDoor[models.QuerySet["PromoRedemption"]]()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["team", "code", "nth"], name="promo_redemption_once"),
            models.UniqueConstraint(
                fields=["team", "idempotency_key"], name="promo_redemption_once_per_key"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.code} for {self.team}"
