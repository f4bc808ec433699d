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
from billing.admin.shown import PlainNews, dollars, named_month
from billing.models import (
    BillingAccount,
    BillingCycle,
    Charge,
    CreditGrant,
    Hold,
    LedgerEntry,
)
from billing.rules import (
    HIGHEST_TIER,
    BillingItem,
    ticks_from_usd,
    tier_of,
    usd,
    usd_from_ticks,
)

# What still fits the database, which counts ticks in 64 bits, with room to add to it.
MOST_USD: Final = Decimal(900_000_000)
# Prices are told for so many tokens, as they are on the page of models.
PRICED: Final = 1_000_000


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
class BillingAccountAdmin(PlainNews, ReadOnlyAdmin):
    """Teams' accounts."""

    spending_limit = dollars("spending_limit_ticks", "Spending limit")
    hard_limit = dollars("hard_limit_ticks", "Hard limit")
    held = dollars("held_ticks", "Held")
    paid = dollars("paid_ticks", "Paid in all")

    form = AccountForm
    list_display = ["team", "spending_limit", "hard_limit", "held", "paid", "tier"]
    list_filter = [("invoicing_blocked_at", admin.EmptyFieldListFilter)]
    search_fields = ["=team__id", "team__name"]
    ordering = ["team__name", "pk"]
    readonly_fields = ["team", "spending_limit", "held", "paid", "tier", "invoicing_blocked_at"]
    fields = [
        "team", "spending_limit", "hard_limit_usd", "held", "paid", "tier", "least_tier",
        "invoicing_blocked_at",
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

    def log_change(self, request: HttpRequest, obj: BillingAccount, message: Any) -> Any:
        # This log outlasts the erasure of a person, whose name may be the team's.
        entry = super().log_change(request, obj, message)
        entry.object_repr = f"Billing account of {obj.team_id}"
        entry.save(update_fields=["object_repr"])
        return entry

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
class CreditGrantAdmin(PlainNews, ReadOnlyAdmin):
    """Credits of all teams, and the form that gives some."""

    amount = dollars("amount_ticks", "Amount")
    remaining = dollars("remaining_ticks", "Remaining")

    list_display = ["label", "team", "kind", "amount", "remaining", "expires_at"]
    list_filter = ["kind"]
    search_fields = ["=id", "=team__id", "team__name", "label"]
    ordering = ["-granted_at", "-pk"]
    fields = [
        "id", "team", "kind", "label", "amount", "remaining", "granted_at", "expires_at",
        "idempotency_key",
    ]  # fmt: skip
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


@admin.register(BillingCycle)
class BillingCycleAdmin(ReadOnlyAdmin):
    """What months have cost, and what of it was put on an invoice."""

    named_month = named_month
    used = dollars("charged_ticks", "Used")
    accrued = dollars("accrued_ticks", "Not paid by credits")

    list_display = ["named_month", "team", "used", "accrued", "invoice", "closed_at"]
    list_select_related = ["team", "invoice"]
    search_fields = ["=team__id", "team__name"]
    ordering = ["-month", "-pk"]
    fields = ["named_month", "team", "used", "accrued", "invoice", "closed_at"]


@admin.register(Hold)
class HoldAdmin(ReadOnlyAdmin):
    """Credits set aside. An expired hold is a request that nobody ended: worth a look."""

    amount = dollars("amount_ticks", "Amount")

    list_display = ["created_at", "team", "model", "amount", "state", "expires_at"]
    list_filter = ["state"]
    search_fields = ["=id", "=team__id"]
    ordering = ["-pk"]
    fields = [
        "id", "team", "api_key_id", "model", "tokens", "amount", "state", "created_at",
        "expires_at", "ended_at",
    ]  # fmt: skip


@admin.register(Charge)
class ChargeAdmin(ReadOnlyAdmin):
    """What requests cost."""

    cost = dollars("cost_ticks", "Cost")
    loss = dollars("loss_ticks", "Our loss")

    list_display = ["charged_at", "team", "model", "cost", "loss", "is_estimated"]
    list_filter = ["is_estimated"]
    search_fields = ["=id", "=team__id"]
    ordering = ["-pk"]
    fields = ["id", "team", "model", "items", "cost", "loss", "is_estimated", "charged_at"]

    @admin.display(description="Items")
    def items(self, charge: Charge) -> str:
        return "\n".join(
            f"{BillingItem(item).label}: {quantity:,} at {usd(ticks * PRICED)} a million"
            for item, quantity, ticks in charge.lines
        )


@admin.register(LedgerEntry)
class LedgerEntryAdmin(ReadOnlyAdmin):
    """Every movement of every team's money."""

    named_month = named_month
    amount = dollars("amount_ticks", "Amount")

    list_display = ["happened_at", "team", "kind", "amount", "pot"]
    list_filter = ["kind"]
    list_select_related = ["team", "grant"]
    search_fields = ["=id", "=team__id"]
    ordering = ["-pk"]
    fields = ["id", "team", "kind", "amount", "grant", "named_month", "charge", "happened_at"]

    @admin.display(description="Of")
    def pot(self, entry: LedgerEntry) -> str:
        return str(entry.grant) if entry.grant else f"The invoice of {named_month(self, entry)}"
