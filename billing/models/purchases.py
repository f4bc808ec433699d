"""Purchases of credits, and what is given back of them."""

from django.conf import settings
from django.db import models
from django.db.models import Q, QuerySet
from uuid_utils.compat import uuid7

from accounts.scoping import TeamDoor, TeamOwned
from billing.rules import usd_cents


class Purchase(TeamOwned):
    """One wish to buy prepaid credits. Succeeds at most once, and then has one grant.

    Cards may be tried one after another. Each try is a payment of its own, and none begins before
    the one before it is known to have taken nothing.
    """

    class Kind(models.TextChoices):
        CARD = "card", "By card"
        TRANSFER = "transfer", "By bank transfer"
        AUTO = "auto", "Automatic top-up"

    class Status(models.TextChoices):
        PENDING = "pending", "Not paid yet"
        # The processor was asked, and its answer is not in our books: reconcile asks again.
        PROCESSING = "processing", "Being processed"
        REQUIRES_ACTION = "requires_action", "Waiting for confirmation"
        SUCCEEDED = "succeeded", "Paid"
        FAILED = "failed", "Refused"  # Another card may be tried.
        EXPIRED = "expired", "Expired"

    # A card may be tried.
    PAYABLE = frozenset({Status.PENDING, Status.FAILED})
    # The outcome is the processor's to tell.
    UNDECIDED = frozenset({Status.PROCESSING, Status.REQUIRES_ACTION})

    # What one by bank transfer is paid with, where others name a card.
    BANK_TRANSFER = "Bank transfer"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.CharField(max_length=8, choices=Kind, default=Kind.CARD)
    amount_cents = models.PositiveBigIntegerField()  # Of credits; the tax is charged besides.
    tax_cents = models.PositiveBigIntegerField(default=0)
    tax_percent = models.DecimalField(max_digits=5, decimal_places=2, default=0)
    status = models.CharField(max_length=15, choices=Status, default=Status.PENDING)
    buyer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    idempotency_key = models.CharField(max_length=120)
    failure_code = models.CharField(max_length=40, blank=True)
    paid_with = models.CharField(max_length=60, blank=True)  # "Visa ending 4242".
    # What the buyer writes on a bank transfer, so that we know whose it is.
    transfer_reference = models.CharField(max_length=20, null=True, blank=True, unique=True)
    created_at = models.DateTimeField()
    # Until when it can be paid.
    lapses_at = models.DateTimeField()
    completed_at = models.DateTimeField(null=True, blank=True)

    of = TeamDoor[QuerySet["Purchase"]]()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["team", "idempotency_key"], name="purchase_once_per_key"
            ),
            models.CheckConstraint(condition=Q(amount_cents__gt=0), name="purchase_positive"),
            models.CheckConstraint(
                condition=Q(status="succeeded", completed_at__isnull=False)
                | (~Q(status="succeeded") & Q(completed_at__isnull=True)),
                name="purchase_completed_once_succeeded",
            ),
        ]
        indexes = [
            models.Index(fields=["team", "-created_at"], name="purchases_newest_first"),
            models.Index(
                fields=["created_at"],
                condition=~Q(status__in=["succeeded", "expired"]),
                name="purchases_unfinished",
            ),
        ]

    def __str__(self) -> str:
        return f"Purchase of {usd_cents(self.amount_cents)} on {self.created_at:%-d %b %Y}"

    @property
    def is_payable(self) -> bool:
        return self.status in self.PAYABLE

    @property
    def total_cents(self) -> int:
        """What is charged: the credits and the tax on them."""
        return self.amount_cents + self.tax_cents

    @property
    def grant_key(self) -> str:
        """The idempotency key of the grant that the purchase turns into."""
        return f"purchase:{self.pk}"


class Refund(TeamOwned):
    """What staff paid back of one purchase, because the law requires it. Once per purchase."""

    class Status(models.TextChoices):
        PENDING = "pending", "On its way"
        SUCCEEDED = "succeeded", "Paid back"
        FAILED = "failed", "Failed"  # The credits are back.

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    purchase = models.OneToOneField(Purchase, on_delete=models.PROTECT, related_name="refund")
    amount_cents = models.PositiveBigIntegerField()  # Of credits; the tax goes back besides.
    tax_cents = models.PositiveBigIntegerField(default=0)
    reason = models.CharField(max_length=200)
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    status = models.CharField(max_length=9, choices=Status, default=Status.PENDING)
    reference = models.CharField(max_length=120, blank=True)  # The processor's.
    created_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True, blank=True)

    of = TeamDoor[QuerySet["Refund"]]()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(amount_cents__gt=0), name="refund_positive"),
            models.CheckConstraint(
                condition=Q(status="pending", decided_at__isnull=True)
                | (~Q(status="pending") & Q(decided_at__isnull=False)),
                name="refund_decided_unless_pending",
            ),
        ]
        indexes = [
            models.Index(
                fields=["created_at"], condition=Q(status="pending"), name="refunds_pending"
            ),
        ]

    def __str__(self) -> str:
        return f"Refund of {usd_cents(self.total_cents)}, {self.get_status_display().lower()}"

    @property
    def total_cents(self) -> int:
        """What goes back: the credits and the tax on them."""
        return self.amount_cents + self.tax_cents
