"""Credits, and the ledger that explains every change of them."""

from datetime import datetime

from django.db import models
from django.db.models import F, Q, QuerySet
from uuid_utils.compat import uuid7

from accounts.scoping import TeamDoor, TeamOwned
from billing.models.requests import Charge
from billing.rules import usd


class CreditGrantQuerySet(QuerySet["CreditGrant"]):
    """Reads over a team's grants."""

    def usable(self, now: datetime) -> "CreditGrantQuerySet":
        """Keep what can be spent at this moment. A grant is over at its expiry, not after it."""
        unexpired = Q(expires_at=None) | Q(expires_at__gt=now)
        return self.filter(unexpired, remaining_ticks__gt=0)

    def in_order_of_use(self) -> "CreditGrantQuerySet":
        """As `rules.in_order_of_use`: free and promo by expiry, then prepaid by age."""
        prepaid = Q(kind=CreditGrant.Kind.PREPAID)
        return self.order_by(
            models.Case(models.When(prepaid, then=1), default=0),
            models.Case(models.When(~prepaid, then=F("expires_at"))).asc(nulls_last=True),
            "granted_at",
            "pk",
        )


class CreditGrant(TeamOwned):
    """Credits that a team may use. Only `remaining_ticks` ever changes, with a ledger entry.

    And the label, when the person whom it names is erased.
    """

    class Kind(models.TextChoices):
        FREE = "free", "Free"
        PROMO = "promo", "Promo"
        PREPAID = "prepaid", "Prepaid"

    # How the key of a grant begins that staff gave.
    STAFF_KEY = "staff:"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.CharField(max_length=7, choices=Kind)
    label = models.CharField(max_length=120)  # "Bought by Alice", "Welcome credits".
    amount_ticks = models.BigIntegerField()
    remaining_ticks = models.BigIntegerField()
    granted_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)
    # A form or a purchase that grants is repeated with the same key and grants once.
    idempotency_key = models.CharField(max_length=120)

    of = TeamDoor(CreditGrantQuerySet)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["team", "idempotency_key"], name="credit_grant_once_per_key"
            ),
            models.CheckConstraint(
                condition=Q(remaining_ticks__gte=0, remaining_ticks__lte=F("amount_ticks")),
                name="credit_grant_remaining_within_amount",
            ),
            models.CheckConstraint(condition=Q(amount_ticks__gt=0), name="credit_grant_positive"),
        ]
        indexes = [
            models.Index(
                fields=["team"],
                condition=Q(remaining_ticks__gt=0),
                include=["kind", "expires_at", "granted_at", "remaining_ticks"],
                name="credit_grant_usable",
            ),
        ]

    def __str__(self) -> str:
        return self.label

    @property
    def is_from_support(self) -> bool:
        """Whether staff gave it; the label is their reason."""
        return self.idempotency_key.startswith(self.STAFF_KEY)


class LedgerEntryQuerySet(QuerySet["LedgerEntry"]):
    """Reads over a team's ledger."""

    def newest_first(self) -> "LedgerEntryQuerySet":
        return self.order_by("-happened_at", "-pk")


class LedgerEntry(TeamOwned):
    """One movement of one pot of a team's money. Written once, never changed.

    The pot is a grant, or (without one) the invoice of a month. Adding to a grant is positive and
    taking from it negative, so a grant's entries sum to what remains of it; accruing to an
    invoice is negative, so a month's entries sum to minus what it has accrued.
    """

    class Kind(models.TextChoices):
        GRANT = "grant", "Credits added"
        CHARGE = "charge", "Request"
        EXPIRY = "expiry", "Expired"
        FORFEIT = "forfeit", "Forfeited"
        REFUND = "refund", "Refunded"
        # A refund that the processor could not make after all.
        REVERSAL = "reversal", "Refund taken back"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.CharField(max_length=8, choices=Kind)
    amount_ticks = models.BigIntegerField()
    # Neither link is indexed: only verify_ledger follows them, and it reads the whole table.
    grant = models.ForeignKey(
        CreditGrant,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
    )
    month = models.DateField(null=True, blank=True)
    charge = models.ForeignKey(
        Charge,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
    )
    happened_at = models.DateTimeField()

    of = TeamDoor(LedgerEntryQuerySet)

    class Meta:
        verbose_name_plural = "ledger entries"
        constraints = [
            models.CheckConstraint(
                condition=Q(grant__isnull=False, month__isnull=True)
                | Q(grant__isnull=True, month__isnull=False),
                name="ledger_entry_names_one_pot",
            ),
            models.CheckConstraint(
                condition=Q(kind__in=["grant", "reversal"], amount_ticks__gt=0)
                | Q(kind__in=["expiry", "forfeit", "refund"], amount_ticks__lt=0)
                | Q(kind="charge", amount_ticks__lt=0, charge__isnull=False),
                name="ledger_entry_sign_matches_kind",
            ),
            models.UniqueConstraint(
                fields=["grant"], condition=Q(kind="grant"), name="ledger_entry_one_per_new_grant"
            ),
            models.UniqueConstraint(
                fields=["grant"], condition=Q(kind="expiry"), name="ledger_entry_one_per_expiry"
            ),
            models.UniqueConstraint(
                fields=["grant"], condition=Q(kind="forfeit"), name="ledger_entry_one_per_forfeit"
            ),
        ]
        indexes = [
            models.Index(fields=["team", "-happened_at", "-id"], name="ledger_newest_first"),
            # The few movements among millions of requests.
            models.Index(
                fields=["team", "-happened_at", "-id"],
                condition=~Q(kind="charge"),
                name="ledger_all_but_requests",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {usd(self.amount_ticks)}"
