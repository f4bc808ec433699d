"""How a team pays: its methods, attempts to collect money, and what is still to be collected."""

from django.conf import settings
from django.db import models
from django.db.models import Q, QuerySet
from django.utils import timezone
from uuid_utils.compat import uuid7

from accounts.scoping import TeamDoor, TeamOwned
from billing.models.invoices import Invoice
from billing.models.purchases import Purchase
from billing.rules import usd_cents


class ProcessorCustomer(TeamOwned):
    """What a processor knows a team by."""

    processor = models.CharField(max_length=20)
    reference = models.CharField(max_length=120)

    of = TeamDoor[QuerySet["ProcessorCustomer"]]()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["team", "processor"], name="processor_customer_once_per_team"
            ),
            models.UniqueConstraint(
                fields=["processor", "reference"], name="processor_customer_of_one_team"
            ),
        ]

    def __str__(self) -> str:
        return self.reference


class PaymentMethodQuerySet(QuerySet["PaymentMethod"]):
    """Reads over a team's methods."""

    def on_file(self) -> "PaymentMethodQuerySet":
        """Keep those that the team may use again, the default first."""
        return self.filter(kept_at__isnull=False, removed_at=None).order_by(
            "-is_default", "-kept_at", "-pk"
        )


class PaymentMethod(TeamOwned):
    """A card, as the processor described it. Its number was never here.

    One that was entered for a purchase is kept on file once it has paid.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    processor = models.CharField(max_length=20)
    reference = models.CharField(max_length=120)
    brand = models.CharField(max_length=20)
    last4 = models.CharField(max_length=4)
    exp_month = models.PositiveSmallIntegerField()
    exp_year = models.PositiveSmallIntegerField()
    country = models.CharField(max_length=2, blank=True)  # Of its issuer, ISO 3166-1.
    # What its number is known by; empty if nobody knows. The number does not follow from it.
    fingerprint = models.CharField(max_length=64, blank=True)
    is_default = models.BooleanField(default=False)
    added_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    added_at = models.DateTimeField()
    kept_at = models.DateTimeField(null=True, blank=True)
    removed_at = models.DateTimeField(null=True, blank=True)
    # Since when the processor cannot charge it either.
    forgotten_at = models.DateTimeField(null=True, blank=True)

    of = TeamDoor(PaymentMethodQuerySet)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["processor", "reference"], name="payment_method_once_per_reference"
            ),
            models.UniqueConstraint(
                fields=["team", "processor"],
                condition=Q(is_default=True),
                name="payment_method_one_default",
            ),
            models.CheckConstraint(
                condition=Q(is_default=False) | Q(kept_at__isnull=False, removed_at=None),
                name="payment_method_default_is_on_file",
            ),
        ]
        indexes = [
            models.Index(fields=["team", "-kept_at"], name="payment_methods_newest_first"),
            models.Index(
                fields=["added_at"],
                condition=Q(forgotten_at=None) & (Q(kept_at=None) | Q(removed_at__isnull=False)),
                name="payment_methods_to_forget",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        return f"{self.brand} ending {self.last4}"

    @property
    def expiry(self) -> str:
        """As it is printed on a card."""
        return f"{self.exp_month:02} / {self.exp_year % 100:02}"

    @property
    def described(self) -> str:
        """Told apart from another card with the same last digits."""
        return f"{self.name}, {'expired' if self.has_expired else 'expires'} {self.expiry}"

    @property
    def has_expired(self) -> bool:
        today = timezone.now().date()
        return (self.exp_year, self.exp_month) < (today.year, today.month)


class Payment(TeamOwned):
    """One attempt to collect money, for a purchase or for the invoice of a month.

    Committed before the processor is asked, so that whatever happens afterwards there is a row
    to ask about. No attempt begins before the one before it is known to have taken nothing.
    """

    class Status(models.TextChoices):
        # The processor was asked, or is about to be, and its answer is not in our books.
        PROCESSING = "processing", "Being processed"
        REQUIRES_ACTION = "requires_action", "Waiting for confirmation"
        SUCCEEDED = "succeeded", "Paid"
        FAILED = "failed", "Failed"

    UNDECIDED = frozenset({Status.PROCESSING, Status.REQUIRES_ACTION})

    # Also its idempotency key at the processor.
    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    purchase = models.ForeignKey(
        Purchase, on_delete=models.PROTECT, null=True, blank=True, related_name="payments"
    )
    invoice = models.ForeignKey(
        Invoice, on_delete=models.PROTECT, null=True, blank=True, related_name="payments"
    )
    method = models.ForeignKey(PaymentMethod, on_delete=models.PROTECT, related_name="+")
    amount_cents = models.PositiveBigIntegerField()
    # Nobody is there who could answer the bank.
    is_off_session = models.BooleanField(default=False)
    status = models.CharField(max_length=15, choices=Status, default=Status.PROCESSING)
    # What the processor calls it. While it is empty no money can have moved.
    reference = models.CharField(max_length=120, blank=True)
    failure_code = models.CharField(max_length=40, blank=True)
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    started_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True, blank=True)

    of = TeamDoor[QuerySet["Payment"]]()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(purchase__isnull=False, invoice__isnull=True)
                | Q(purchase__isnull=True, invoice__isnull=False),
                name="payment_is_for_one_thing",
            ),
            # The books themselves refuse a second attempt beside one that may still pay, and a
            # second one that did.
            models.UniqueConstraint(
                fields=["purchase"],
                condition=~Q(status="failed"),
                name="payment_one_alive_per_purchase",
            ),
            models.UniqueConstraint(
                fields=["invoice"],
                condition=~Q(status="failed"),
                name="payment_one_alive_per_invoice",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["succeeded", "failed"], decided_at__isnull=False)
                | Q(status__in=["processing", "requires_action"], decided_at__isnull=True),
                name="payment_decided_or_not",
            ),
            models.CheckConstraint(condition=Q(amount_cents__gt=0), name="payment_positive"),
        ]
        indexes = [
            models.Index(
                fields=["started_at"],
                condition=Q(decided_at__isnull=True),
                name="payments_undecided",
            ),
            models.Index(fields=["reference"], name="payments_by_reference"),
        ]

    def __str__(self) -> str:
        return f"Payment of {usd_cents(self.amount_cents)} on {self.started_at:%-d %b %Y}"


class Receivable(TeamOwned):
    """What is still to be collected for the invoice of a month. The invoice itself is final."""

    invoice = models.OneToOneField(Invoice, on_delete=models.PROTECT, related_name="receivable")
    # How often the default method was tried by itself, and when it is next; None: no more.
    tries = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True, blank=True)
    paid_at = models.DateTimeField(null=True, blank=True)
    paid_with = models.CharField(max_length=60, blank=True)  # "Visa ending 4242".

    of = TeamDoor[QuerySet["Receivable"]]()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(paid_at=None) | Q(next_try_at=None), name="receivable_paid_is_over"
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_try_at"],
                condition=Q(next_try_at__isnull=False),
                name="receivables_to_try",
            ),
        ]

    def __str__(self) -> str:
        return f"Receivable for {self.invoice}"


class ProcessorEvent(models.Model):
    """Something that a processor told us. A row is what keeps it from being handled twice."""

    id = models.CharField(max_length=120, primary_key=True)  # The processor's.
    processor = models.CharField(max_length=20)
    kind = models.CharField(max_length=80)  # As the processor calls it.
    reference = models.CharField(max_length=120, blank=True)  # What it is about.
    received_at = models.DateTimeField()
    tries = models.PositiveIntegerField(default=0)  # That failed.
    handled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["tries", "received_at"],
                condition=Q(handled_at=None),
                name="processor_events_unhandled",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"
