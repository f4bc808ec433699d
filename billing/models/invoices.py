"""What was billed: documents that are written once, with a number at issue."""

from datetime import UTC, date
from typing import Final

from django.db import models
from django.db.models import F, Q, QuerySet
from uuid_utils.compat import uuid7

from accounts.scoping import TeamDoor, TeamOwned
from billing.models.purchases import Purchase, Refund


class InvoiceSeries(models.Model):
    """A run of invoice numbers without gaps. Its row is locked while a number is given."""

    code = models.CharField(max_length=4, primary_key=True)
    last_number = models.PositiveIntegerField(default=0)

    class Meta:
        verbose_name_plural = "invoice series"

    def __str__(self) -> str:
        return self.code


class InvoiceQuerySet(QuerySet["Invoice"]):
    """Reads over a team's invoices."""

    def newest_first(self) -> "InvoiceQuerySet":
        return self.order_by("-issued_at", "-pk")

    def unpaid(self) -> "InvoiceQuerySet":
        """Keep those that money is still to be collected for. What a purchase left was paid."""
        return self.filter(kind=Invoice.Kind.MONTH, receivable__paid_at=None)


class Invoice(TeamOwned):
    """One issued document: the receipt of a purchase, the bill of a month, or a credit note.

    Everything on it is a copy of how things were at issue, so that a later change of a name or a
    price alters no document.
    """

    class Kind(models.TextChoices):
        PURCHASE = "purchase", "Credit purchase"
        MONTH = "month", "Monthly usage"
        CREDIT = "credit", "Credit note"

    NAMES: Final = {Kind.PURCHASE: "Receipt", Kind.MONTH: "Invoice", Kind.CREDIT: "Credit note"}

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    series = models.ForeignKey(InvoiceSeries, on_delete=models.PROTECT, related_name="+")
    number = models.PositiveIntegerField()
    kind = models.CharField(max_length=8, choices=Kind)
    issued_at = models.DateTimeField()
    purchase = models.OneToOneField(
        Purchase, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    refund = models.OneToOneField(
        Refund, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    month = models.DateField(null=True, blank=True)
    # {"name", "email", "address", "tax_number"}. Older documents have the first two alone.
    seller = models.JSONField()
    # {"name"}, of a purchase {"contact", "email"}, and of the billing details what there is.
    buyer = models.JSONField()
    # {"description", "amount_cents"} each; of a month also "ticks", and {"model", "item",
    # "quantity", "unit_price_ticks"} where the line is of one price, and "month" ("2026-01") where
    # it was carried over from an earlier one.
    lines = models.JSONField()
    # What of the month credits had paid for already.
    credits_used_ticks = models.BigIntegerField(default=0)
    subtotal_cents = models.PositiveBigIntegerField()
    tax_cents = models.PositiveBigIntegerField(default=0)
    tax_percent = models.DecimalField(max_digits=5, decimal_places=2, default=0)
    tax_name = models.CharField(max_length=20, blank=True)
    total_cents = models.PositiveBigIntegerField()
    # What a purchase was paid with, and paid back to: "Visa ending 4242".
    paid_with = models.CharField(max_length=60, blank=True)

    of = TeamDoor(InvoiceQuerySet)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["series", "number"], name="invoice_number_once"),
            models.UniqueConstraint(fields=["team", "month"], name="invoice_once_per_month"),
            models.CheckConstraint(
                condition=Q(kind="purchase", purchase__isnull=False, month=None, refund=None)
                | Q(kind="month", purchase=None, month__isnull=False, refund=None)
                | Q(kind="credit", purchase=None, month=None, refund__isnull=False),
                name="invoice_names_its_reason",
            ),
            models.CheckConstraint(
                condition=Q(total_cents=F("subtotal_cents") + F("tax_cents")),
                name="invoice_total_adds_up",
            ),
        ]
        indexes = [
            models.Index(fields=["team", "-issued_at", "-id"], name="invoices_newest_first"),
        ]

    def __str__(self) -> str:
        return self.reference

    @property
    def issued_on(self) -> date:
        """The date that is printed: a document has one, wherever it is read."""
        return self.issued_at.astimezone(UTC).date()

    @property
    def is_open(self) -> bool:
        """Whether it is still to be paid: a bill that nothing was collected for yet."""
        if self.kind != self.Kind.MONTH:
            return False
        receivable = getattr(self, "receivable", None)
        return receivable is None or receivable.paid_at is None

    @property
    def is_overdue(self) -> bool:
        """Whether it was tried to the end: nothing more is collected for it by itself."""
        receivable = getattr(self, "receivable", None)
        return self.is_open and receivable is not None and receivable.next_try_at is None

    @property
    def settled_with(self) -> str:
        """What it was paid with, or back to: "Visa ending 4242"."""
        if self.paid_with:
            return self.paid_with
        receivable = getattr(self, "receivable", None)
        return receivable.paid_with if receivable else ""

    @property
    def settlement(self) -> str:
        """How it was paid, or paid back: "paid with Visa ending 4242"; nothing while it is open."""
        what, is_credit = self.settled_with, self.kind == self.Kind.CREDIT
        paid = "paid back" if is_credit else "paid"
        if what == Purchase.BANK_TRANSFER:
            return f"{paid} by bank transfer"
        return f"{paid} {'to' if is_credit else 'with'} {what}" if what else ""

    @property
    def standing(self) -> str:
        """What has become of it, in a word."""
        if self.kind == self.Kind.CREDIT:
            return "Credited"
        if self.is_overdue:
            return "Overdue"
        return "Open" if self.is_open else "Paid"

    @property
    def reference(self) -> str:
        """The number as it is printed."""
        return f"{self.series_id}-{self.number:06}"

    @property
    def name(self) -> str:
        """What such a document is called: a receipt, an invoice or a credit note."""
        return self.NAMES[self.Kind(self.kind)]

    @property
    def title(self) -> str:
        return f"{self.name} {self.reference}"
