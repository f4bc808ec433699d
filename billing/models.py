"""Credits and what used them up. Every number here is explained by rows that are never changed."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q, QuerySet
from uuid_utils.compat import uuid7

from accounts.scoping import TeamDoor, TeamOwned


class BillingAccountQuerySet(QuerySet["BillingAccount"]):
    """Reads of a team's account; `.select_for_update()` on it is the one lock of billing."""


class BillingAccount(TeamOwned):
    """A team's money: the row whose lock guards every balance of the team.

    `held_ticks` is the sum of the team's live holds. It changes only under the lock, in the
    transaction that writes the hold; `verify_ledger` compares the two.
    """

    held_ticks = models.BigIntegerField(default=0)
    # What may be invoiced per UTC calendar month: the customer's wish, under the operator's cap.
    spending_limit_ticks = models.BigIntegerField(default=0)
    hard_limit_ticks = models.BigIntegerField(default=0)

    of = TeamDoor(BillingAccountQuerySet)

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
        ]

    def __str__(self) -> str:
        return f"Billing account of {self.team_id}"

    @property
    def effective_limit_ticks(self) -> int:
        return min(self.spending_limit_ticks, self.hard_limit_ticks)


class BillingCycleQuerySet(QuerySet["BillingCycle"]):
    """Reads over a team's months."""


class BillingCycle(TeamOwned):
    """What one UTC calendar month has accrued to the team's invoice."""

    month = models.DateField()  # Its first day.
    accrued_ticks = models.BigIntegerField(default=0)

    of = TeamDoor(BillingCycleQuerySet)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["team", "month"], name="billing_cycle_once_per_month"),
            models.CheckConstraint(
                condition=Q(accrued_ticks__gte=0), name="billing_cycle_accrued_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.month:%B %Y}"


class CreditGrantQuerySet(QuerySet["CreditGrant"]):
    """Reads over a team's grants."""

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
    """Credits that a team may use. Only `remaining_ticks` ever changes, with a ledger entry."""

    class Kind(models.TextChoices):
        FREE = "free", "Free"
        PROMO = "promo", "Promo"
        PREPAID = "prepaid", "Prepaid"

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


class HoldQuerySet(QuerySet["Hold"]):
    """Reads over a team's holds."""


class Hold(TeamOwned):
    """Credits set aside for one request in flight. Ends exactly once. Its id is the request's."""

    class State(models.TextChoices):
        LIVE = "live", "Live"
        SETTLED = "settled", "Settled"
        RELEASED = "released", "Released"
        EXPIRED = "expired", "Expired"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    amount_ticks = models.BigIntegerField()
    state = models.CharField(max_length=8, choices=State, default=State.LIVE)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    of = TeamDoor(HoldQuerySet)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(amount_ticks__gte=0), name="hold_not_negative"),
            models.CheckConstraint(
                condition=Q(state="live", ended_at__isnull=True)
                | (~Q(state="live") & Q(ended_at__isnull=False)),
                name="hold_ended_unless_live",
            ),
        ]
        indexes = [
            models.Index(
                fields=["team", "expires_at"], condition=Q(state="live"), name="hold_live"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_state_display()} hold {self.pk}"


class ChargeQuerySet(QuerySet["Charge"]):
    """Reads over a team's charges."""


class Charge(TeamOwned):
    """What one request cost. Written once; the hold with the same id is what made room for it."""

    id = models.UUIDField(primary_key=True, editable=False)
    cost_ticks = models.BigIntegerField()
    # What the upstream reported beyond the hold: nobody's debt, but the operator should know.
    loss_ticks = models.BigIntegerField(default=0)
    model = models.CharField(max_length=120)
    # [[billing item, quantity, unit price in ticks], ...]: a later price change alters nothing.
    lines = models.JSONField()
    charged_at = models.DateTimeField()

    of = TeamDoor(ChargeQuerySet)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(cost_ticks__gte=0, loss_ticks__gte=0), name="charge_not_negative"
            ),
        ]
        indexes = [
            models.Index(fields=["team", "-charged_at"], name="charges_newest_first"),
        ]

    def __str__(self) -> str:
        return f"Charge {self.pk}"


class LedgerEntryQuerySet(QuerySet["LedgerEntry"]):
    """Reads over a team's ledger."""


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

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.CharField(max_length=8, choices=Kind)
    amount_ticks = models.BigIntegerField()
    grant = models.ForeignKey(
        CreditGrant, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    month = models.DateField(null=True, blank=True)
    charge = models.ForeignKey(
        Charge, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    happened_at = models.DateTimeField()

    of = TeamDoor(LedgerEntryQuerySet)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(grant__isnull=False, month__isnull=True)
                | Q(grant__isnull=True, month__isnull=False),
                name="ledger_entry_names_one_pot",
            ),
            models.CheckConstraint(
                condition=Q(kind="grant", amount_ticks__gt=0)
                | Q(kind="expiry", amount_ticks__lt=0)
                | Q(kind="charge", amount_ticks__lt=0, charge__isnull=False),
                name="ledger_entry_sign_matches_kind",
            ),
        ]
        indexes = [
            models.Index(fields=["team", "-happened_at", "-id"], name="ledger_newest_first"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.amount_ticks}"


class PurchaseQuerySet(QuerySet["Purchase"]):
    """Reads over a team's purchases."""


class Purchase(TeamOwned):
    """One attempt to buy prepaid credits. Succeeds at most once, and then has one grant."""

    class Status(models.TextChoices):
        PENDING = "pending", "Pending"
        REQUIRES_ACTION = "requires_action", "Waiting for confirmation"
        SUCCEEDED = "succeeded", "Paid"
        FAILED = "failed", "Failed"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    amount_cents = models.PositiveBigIntegerField()
    status = models.CharField(max_length=15, choices=Status, default=Status.PENDING)
    buyer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    idempotency_key = models.CharField(max_length=120)
    processor = models.CharField(max_length=20)
    processor_reference = models.CharField(max_length=120, blank=True)
    card_brand = models.CharField(max_length=20, blank=True)
    card_last4 = models.CharField(max_length=4, blank=True)
    failure_code = models.CharField(max_length=40, blank=True)
    created_at = models.DateTimeField()
    completed_at = models.DateTimeField(null=True, blank=True)

    of = TeamDoor(PurchaseQuerySet)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["team", "idempotency_key"], name="purchase_once_per_key"
            ),
            models.CheckConstraint(condition=Q(amount_cents__gt=0), name="purchase_positive"),
        ]
        indexes = [
            models.Index(fields=["team", "-created_at"], name="purchases_newest_first"),
        ]

    def __str__(self) -> str:
        return f"{self.get_status_display()} purchase {self.pk}"


