"""The books for staff: everything to look up, limits to set and credits to give by a service."""

from decimal import Decimal
from typing import Any, Final
from uuid import uuid4

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest
from django.shortcuts import redirect
from django.utils import timezone

from accounts import services as accounts
from accounts.admin import ReadOnlyAdmin
from accounts.web import staff_of
from billing import services as billing
from billing.admin.amounts import MOST_GRANTED_USD
from billing.models import (
    BillingAccount,
    BillingCycle,
    Charge,
    CreditGrant,
    Hold,
    Invoice,
    LedgerEntry,
    SandboxPayment,
)
from billing.rules import HIGHEST_TIER, ticks_from_usd, tier_of, usd, usd_from_ticks

# What still fits the database, which counts ticks in 64 bits, with room to add to it.
MOST_USD: Final = Decimal(900_000_000)


class AccountForm(forms.ModelForm[BillingAccount]):
    """The two numbers of an account that staff set."""

    hard_limit_usd = forms.DecimalField(
        label="Hard limit, US dollars per month",
        min_value=Decimal(0),
        max_value=MOST_USD,
        decimal_places=2,
        error_messages={"max_value": f"A hard limit can be up to ${MOST_USD:,}."},
        help_text="The most that the team's own spending limit can be. In force at once.",
    )
    least_tier = forms.TypedChoiceField(
        label="Least tier",
        coerce=int,
        choices=[(tier, f"Tier {tier}") for tier in range(HIGHEST_TIER + 1)],
        help_text="The team has this tier, or the one that it has paid for if that is higher.",
    )

    class Meta:
        model = BillingAccount
        fields: list[str] = []

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields[
            "hard_limit_usd"
        ].initial = f"{usd_from_ticks(self.instance.hard_limit_ticks):.2f}"
        self.fields["least_tier"].initial = self.instance.least_tier


@admin.register(BillingAccount)
class BillingAccountAdmin(ReadOnlyAdmin):
    """Teams' accounts."""

    form = AccountForm
    list_display = ["team", "spending_limit", "hard_limit", "held", "paid", "tier"]
    search_fields = ["=team__id", "team__name"]
    ordering = ["team__name", "pk"]
    readonly_fields = ["team", "spending_limit", "held", "paid", "tier"]
    fields = [
        "team", "spending_limit", "hard_limit_usd", "held", "paid", "tier", "least_tier",
    ]  # fmt: skip

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return admin.ModelAdmin.has_change_permission(self, request, obj)

    def save_model(
        self,
        request: HttpRequest,
        obj: BillingAccount,
        form: Any,
        change: bool,  # noqa: ARG002, FBT001 -- Django's signature
    ) -> None:
        data, actor, now = form.cleaned_data, staff_of(request), timezone.now()
        limit_ticks = ticks_from_usd(data["hard_limit_usd"])
        billing.set_hard_limit(team=obj.team, actor=actor, limit_ticks=limit_ticks, now=now)
        billing.set_least_tier(team=obj.team, actor=actor, tier=data["least_tier"], now=now)

    @admin.display(description="Spending limit")
    def spending_limit(self, account: BillingAccount) -> str:
        return usd(account.spending_limit_ticks)

    @admin.display(description="Hard limit")
    def hard_limit(self, account: BillingAccount) -> str:
        return usd(account.hard_limit_ticks)

    @admin.display(description="Held")
    def held(self, account: BillingAccount) -> str:
        return usd(account.held_ticks)

    @admin.display(description="Paid in all")
    def paid(self, account: BillingAccount) -> str:
        return usd(account.paid_ticks)

    @admin.display(description="Tier")
    def tier(self, account: BillingAccount) -> int:
        return tier_of(account.paid_ticks, account.least_tier)


GIVEN: Final = (CreditGrant.Kind.FREE, CreditGrant.Kind.PROMO)


class GrantForm(forms.ModelForm[CreditGrant]):
    """Credits that staff give. Bought credits come from purchases alone."""

    kind = forms.ChoiceField(choices=[(kind.value, kind.label) for kind in GIVEN])
    amount_usd = forms.DecimalField(
        label="Amount, US dollars",
        min_value=Decimal("0.01"),
        max_value=MOST_GRANTED_USD,
        decimal_places=2,
        error_messages={"max_value": f"One grant can be up to ${MOST_GRANTED_USD:,}."},
    )
    idempotency_key = forms.UUIDField(widget=forms.HiddenInput, initial=uuid4)

    class Meta:
        model = CreditGrant
        fields = ["team", "label", "expires_at"]
        labels = {"label": "Reason"}
        help_texts = {"label": "The team sees it as the name of the grant."}

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        expires_at = data.get("expires_at")
        if expires_at and expires_at <= timezone.now():
            self.add_error("expires_at", "This time is over. Credits have to expire later.")
        return data


@admin.register(CreditGrant)
class CreditGrantAdmin(ReadOnlyAdmin):
    """Credits of all teams, and the form that gives some."""

    list_display = ["label", "team", "kind", "amount", "remaining", "granted_at", "expires_at"]
    list_filter = ["kind"]
    search_fields = ["=id", "=team__id", "team__name", "label"]
    ordering = ["-granted_at", "-pk"]
    raw_id_fields = ["team"]

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return admin.ModelAdmin.has_add_permission(self, request)

    def get_form(
        self,
        request: HttpRequest,
        obj: Any = None,
        change: bool = False,  # noqa: FBT001, FBT002 -- Django's signature
        **kwargs: Any,
    ) -> Any:
        if obj is None:
            kwargs["form"] = GrantForm
        return super().get_form(request, obj, change, **kwargs)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().changeform_view(request, *args, **kwargs)
        except (billing.IdempotencyConflictError, accounts.TeamClosedError) as error:
            messages.error(request, str(error))
            return redirect(request.path)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return ["team", "kind", "amount_usd", "label", "expires_at", "idempotency_key"]
        return super().get_fields(request, obj)

    def save_model(
        self,
        request: HttpRequest,
        obj: CreditGrant,
        form: Any,
        change: bool,  # noqa: ARG002, FBT001 -- Django's signature
    ) -> None:
        data = form.cleaned_data
        given = billing.grant(
            team=data["team"],
            actor=staff_of(request),
            kind=CreditGrant.Kind(data["kind"]),
            amount_ticks=ticks_from_usd(data["amount_usd"]),
            label=data["label"],
            idempotency_key=f"{CreditGrant.STAFF_KEY}{data['idempotency_key']}",
            expires_at=data["expires_at"],
            now=timezone.now(),
        )
        # Whatever the admin does next, it does with the grant that the service made.
        obj.pk = given.pk
        obj.refresh_from_db()

    @admin.display(description="Amount")
    def amount(self, grant: CreditGrant) -> str:
        return usd(grant.amount_ticks)

    @admin.display(description="Remaining")
    def remaining(self, grant: CreditGrant) -> str:
        return usd(grant.remaining_ticks)


@admin.register(BillingCycle)
class BillingCycleAdmin(ReadOnlyAdmin):
    """What months have accrued."""

    list_display = ["team", "month", "accrued"]
    search_fields = ["=team__id", "team__name"]
    ordering = ["-month", "-pk"]

    @admin.display(description="Accrued")
    def accrued(self, cycle: BillingCycle) -> str:
        return usd(cycle.accrued_ticks)


@admin.register(Hold)
class HoldAdmin(ReadOnlyAdmin):
    """Credits set aside. An expired hold is a request that nobody ended: worth a look."""

    list_display = ["id", "team", "state", "amount", "created_at", "expires_at", "ended_at"]
    list_filter = ["state"]
    search_fields = ["=id", "=team__id"]
    ordering = ["-pk"]

    @admin.display(description="Amount")
    def amount(self, hold: Hold) -> str:
        return usd(hold.amount_ticks)


@admin.register(Charge)
class ChargeAdmin(ReadOnlyAdmin):
    """What requests cost."""

    list_display = ["id", "team", "model", "cost", "loss", "is_estimated", "charged_at"]
    list_filter = ["is_estimated"]
    search_fields = ["=id", "=team__id"]
    ordering = ["-pk"]

    @admin.display(description="Cost")
    def cost(self, charge: Charge) -> str:
        return usd(charge.cost_ticks)

    @admin.display(description="Our loss")
    def loss(self, charge: Charge) -> str:
        return usd(charge.loss_ticks)


@admin.register(LedgerEntry)
class LedgerEntryAdmin(ReadOnlyAdmin):
    """Every movement of every team's money."""

    list_display = ["happened_at", "team", "kind", "amount", "grant", "month", "charge"]
    list_filter = ["kind"]
    list_select_related = ["team", "grant", "charge"]
    search_fields = ["=id", "=team__id"]
    ordering = ["-pk"]

    @admin.display(description="Amount")
    def amount(self, entry: LedgerEntry) -> str:
        return usd(entry.amount_ticks)


@admin.register(Invoice)
class InvoiceAdmin(ReadOnlyAdmin):
    """Issued documents."""

    list_display = ["reference", "team", "kind", "standing", "total_cents", "issued_at"]
    list_filter = ["kind", "series"]
    list_select_related = ["team", "receivable"]
    search_fields = ["=id", "=team__id", "=number"]
    ordering = ["-issued_at", "-pk"]


@admin.register(SandboxPayment)
class SandboxPaymentAdmin(ReadOnlyAdmin):
    """The built-in processor's own record."""

    list_display = ["id", "idempotency_key", "status", "amount_cents", "card_last4", "created_at"]
    list_filter = ["status"]
    list_select_related = False
    search_fields = ["=id", "=idempotency_key"]
    ordering = ["-pk"]
