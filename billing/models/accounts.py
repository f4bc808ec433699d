"""A team's billing account and its months."""

from django.db import models
from django.db.models import Q, QuerySet

from accounts.scoping import TeamDoor, TeamOwned


class BillingAccount(TeamOwned):
    """A team's money: the row whose lock guards every balance of the team.

    `held_ticks` is the sum of the team's live holds. It changes only under the lock, in the
    transaction that writes the hold; `verify_ledger` compares the two.
    """

    held_ticks = models.BigIntegerField(default=0)
    # What may be invoiced per UTC calendar month: the customer's wish, under the operator's cap.
    spending_limit_ticks = models.BigIntegerField(default=0)
    hard_limit_ticks = models.BigIntegerField(default=0)
    # All that was ever paid, in purchases and invoices; it decides the tier and never goes down.
    paid_ticks = models.BigIntegerField(default=0)
    # A tier that support gives, whatever was paid.
    least_tier = models.PositiveSmallIntegerField(default=0)

    of = TeamDoor[QuerySet["BillingAccount"]]()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["team"], name="billing_account_once_per_team"),
            models.CheckConstraint(
                condition=Q(held_ticks__gte=0), name="billing_account_held_not_negative"
            ),
            models.CheckConstraint(
                condition=Q(spending_limit_ticks__gte=0, hard_limit_ticks__gte=0),
                name="billing_account_limits_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(paid_ticks__gte=0), name="billing_account_paid_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return f"Billing account of {self.team_id}"


class BillingCycle(TeamOwned):
    """What one UTC calendar month has accrued to the team's invoice."""

    month = models.DateField()  # Its first day.
    accrued_ticks = models.BigIntegerField(default=0)

    of = TeamDoor[QuerySet["BillingCycle"]]()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["team", "month"], name="billing_cycle_once_per_month"),
            models.CheckConstraint(
                condition=Q(accrued_ticks__gte=0), name="billing_cycle_accrued_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.month:%B %Y}"
