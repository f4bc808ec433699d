"""The built-in processor's own record: its side of the story, not ours."""

from django.db import models
from uuid_utils.compat import uuid7

from billing.rules import usd_cents


class SandboxMethod(models.Model):
    """A test card that the built-in processor was shown. Never its number."""

    class Outcome(models.TextChoices):
        # What the sandbox answers when it is charged, by the number that it had.
        PAYS = "pays", "Pays"
        ASKS = "asks", "Asks for confirmation"
        ALWAYS_ASKS = "always_asks", "Asks for confirmation each time"
        DECLINES = "declines", "Declined"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    customer = models.CharField(max_length=120)
    outcome = models.CharField(max_length=12, choices=Outcome)
    brand = models.CharField(max_length=20)
    last4 = models.CharField(max_length=4)
    exp_month = models.PositiveSmallIntegerField()
    exp_year = models.PositiveSmallIntegerField()
    country = models.CharField(max_length=2)
    detached_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.brand} ending {self.last4}"


class SandboxPayment(models.Model):
    """What the built-in processor remembers of one payment.

    No card number: like ours, its record keeps the brand and the last four digits.
    """

    class Status(models.TextChoices):
        PREPARED = "prepared", "Prepared"
        SUCCEEDED = "succeeded", "Succeeded"
        REQUIRES_ACTION = "requires_action", "Waiting for confirmation"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    idempotency_key = models.CharField(max_length=120, unique=True)
    amount_cents = models.PositiveBigIntegerField()
    refunded_cents = models.PositiveBigIntegerField(default=0)
    # None: it is older than cards that can be charged again.
    method = models.ForeignKey(
        SandboxMethod, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    status = models.CharField(max_length=15, choices=Status)
    code = models.CharField(max_length=40, blank=True)
    card_brand = models.CharField(max_length=20, blank=True)
    card_last4 = models.CharField(max_length=4, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"Sandbox payment of {usd_cents(self.amount_cents)}"


class SandboxRefund(models.Model):
    """What the built-in processor paid back."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    payment = models.ForeignKey(SandboxPayment, on_delete=models.PROTECT, related_name="+")
    idempotency_key = models.CharField(max_length=120, unique=True)
    amount_cents = models.PositiveBigIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"Sandbox refund of {usd_cents(self.amount_cents)}"
