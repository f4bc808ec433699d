"""A team's billing account and its months."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q, QuerySet

from accounts.scoping import TeamDoor, TeamOwned


def default_alert_percents() -> list[int]:
    return [50, 80, 100]


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
    # At how many percent of the spending limit somebody is told.
    alert_percents = ArrayField(
        models.PositiveSmallIntegerField(), default=default_alert_percents, blank=True
    )
    # The month in which a request was last refused because nothing was left.
    refused_month = models.DateField(null=True, blank=True)
    # A tier that support gives, whatever was paid.
    least_tier = models.PositiveSmallIntegerField(default=0)
    # The first month that is not closed yet, when it was closed before its end or a month later
    # than now: what is charged goes on no earlier one. Its first day; None: nothing was closed.
    open_month = models.DateField(null=True, blank=True)
    # Since when nothing more is put on an invoice, because one was not paid in time.
    invoicing_blocked_at = models.DateTimeField(null=True, blank=True)

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
        # For the job that looks each minute who is to be told of something.
        indexes = [models.Index(fields=["refused_month"], name="billing_account_refused")]

    def __str__(self) -> str:
        return f"Billing account of {self.team}"


class BillingCycle(TeamOwned):
    """What one UTC calendar month has cost the team, and how much of that its invoice."""

    month = models.DateField()  # Its first day.
    charged_ticks = models.BigIntegerField(default=0)  # All of it.
    accrued_ticks = models.BigIntegerField(default=0)  # What no credits have paid for.
    closed_at = models.DateTimeField(null=True, blank=True)
    # What it was billed by. A closed month without one was too little to be charged, and goes on
    # the next invoice.
    invoice = models.ForeignKey(
        "billing.Invoice", on_delete=models.PROTECT, null=True, blank=True, related_name="cycles"
    )

    of = TeamDoor[QuerySet["BillingCycle"]]()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["team", "month"], name="billing_cycle_once_per_month"),
            models.CheckConstraint(
                condition=Q(accrued_ticks__gte=0), name="billing_cycle_accrued_not_negative"
            ),
            models.CheckConstraint(
                condition=Q(charged_ticks__gte=models.F("accrued_ticks")),
                name="billing_cycle_charged_covers_accrued",
            ),
        ]
        indexes = [
            models.Index(fields=["month"], name="billing_cycle_of_month"),
            # For the job that closes months.
            models.Index(
                fields=["month"], condition=Q(closed_at=None), name="billing_cycle_to_close"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.month:%B %Y}"


class Notice(TeamOwned):
    """Something that a team was told by mail. A row is what keeps it from being told twice."""

    class Kind(models.TextChoices):
        LIMIT = "limit", "Part of the spending limit is used"
        REFUSED = "refused", "Requests are refused"
        TOP_UP_80 = "top_up_80", "Most of the month's top-ups are used"
        TOP_UP_LAST = "top_up_last", "One top-up is left for the day"

    month = models.DateField()  # The first day of the cycle.
    kind = models.CharField(max_length=12, choices=Kind)
    number = models.PositiveSmallIntegerField(default=0)  # Of a limit: the percent.
    sent_at = models.DateTimeField()

    of = TeamDoor[QuerySet["Notice"]]()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["team", "month", "kind", "number"], name="notice_once_per_cycle"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} in {self.month:%B %Y}"
