"""Promo codes for staff: made, switched off, and who has redeemed them."""

import re
from decimal import Decimal
from typing import Any, Final

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone

from accounts.admin import ReadOnlyAdmin
from accounts.web import staff_of
from billing import services as billing
from billing.admin.amounts import MOST_GRANTED_USD
from billing.admin.shown import PlainNews
from billing.models import PromoCode, PromoRedemption
from billing.rules import ticks_from_usd, usd

# Ten years: longer is for ever, which is left empty.
MOST_DAYS: Final = 3_650


class NewCodeForm(forms.ModelForm[PromoCode]):
    """A code and what it gives. None of it changes later, so that every use can be explained."""

    amount_usd = forms.DecimalField(
        label="Amount, US dollars",
        min_value=Decimal("0.01"),
        max_value=MOST_GRANTED_USD,
        decimal_places=2,
        error_messages={"max_value": f"One use can give up to ${MOST_GRANTED_USD:,}."},
        help_text="What each use gives.",
    )
    grant_days = forms.IntegerField(
        label="Days until the credits expire",
        required=False,
        min_value=1,
        max_value=MOST_DAYS,
        help_text="Counted from the use. Empty: they never expire.",
    )
    max_uses = forms.IntegerField(
        label="Uses in all",
        required=False,
        min_value=1,
        max_value=1_000_000,
        help_text="By all teams together. Empty: no end.",
    )
    uses_per_team = forms.IntegerField(
        label="Uses per team", min_value=1, max_value=1_000, initial=1
    )

    class Meta:
        model = PromoCode
        fields = ["code", "valid_from", "valid_until", "first_purchase_only"]
        help_texts = {
            "code": "Letters, digits and hyphens. Teams may type it in any case and with spaces.",
            "valid_from": "Empty: from now on.",
            "valid_until": "At this time it is over. Empty: no end.",
            "first_purchase_only": "Only for teams that have not bought credits yet.",
        }

    def clean_code(self) -> str:
        code = billing.as_kept(self.cleaned_data["code"])
        if not re.fullmatch(r"[A-Z0-9]+(-[A-Z0-9]+)*", code):
            raise forms.ValidationError("A code has letters A to Z, digits, and hyphens between.")
        if PromoCode.objects.filter(code=code).exists():
            raise forms.ValidationError(f"There is a code {code} already.")
        return code

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        begins, ends = data.get("valid_from"), data.get("valid_until")
        if ends and ends <= timezone.now():
            self.add_error("valid_until", "This time is over. A code has to end later.")
        elif begins and ends and ends <= begins:
            self.add_error("valid_until", "The code would end before it begins.")
        return data

    @property
    def terms(self) -> billing.PromoTerms:
        data = self.cleaned_data
        return billing.PromoTerms(
            amount_ticks=ticks_from_usd(data["amount_usd"]),
            grant_days=data["grant_days"],
            valid_from=data["valid_from"],
            valid_until=data["valid_until"],
            max_uses=data["max_uses"],
            uses_per_team=data["uses_per_team"],
            first_purchase_only=data["first_purchase_only"],
        )


class SwitchForm(forms.ModelForm[PromoCode]):
    """Whether a code is accepted: all that can be changed of one."""

    is_on = forms.BooleanField(
        label="Accepted",
        required=False,
        help_text="Without this mark nobody can redeem it. Credits that it gave stay.",
    )

    class Meta:
        model = PromoCode
        fields: list[str] = []

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["is_on"].initial = self.instance.disabled_at is None


@admin.register(PromoCode)
class PromoCodeAdmin(PlainNews, ReadOnlyAdmin):
    """Codes, and the form that makes one."""

    list_display = [
        "code", "amount", "uses", "max_uses", "valid_from", "valid_until", "disabled_at",
    ]  # fmt: skip
    list_filter = ["first_purchase_only", ("disabled_at", admin.EmptyFieldListFilter)]
    list_select_related = False
    search_fields = ["code"]
    ordering = ["-created_at", "-pk"]
    new_fields = (
        "code", "amount_usd", "grant_days", "valid_from", "valid_until", "max_uses",
        "uses_per_team", "first_purchase_only",
    )  # fmt: skip
    kept_fields = (
        "code", "amount", "grant_days", "valid_from", "valid_until", "max_uses",
        "uses_per_team", "first_purchase_only", "uses", "created_at", "disabled_at",
    )  # fmt: skip

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return admin.ModelAdmin.has_add_permission(self, request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return admin.ModelAdmin.has_change_permission(self, request, obj)

    def get_form(
        self,
        request: HttpRequest,
        obj: Any = None,
        change: bool = False,  # noqa: FBT001, FBT002 -- Django's signature
        **kwargs: Any,
    ) -> Any:
        kwargs["form"] = SwitchForm if obj else NewCodeForm
        return super().get_form(request, obj, change, **kwargs)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:  # noqa: ARG002
        return [*self.kept_fields, "is_on"] if obj else self.new_fields

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:  # noqa: ARG002
        return self.kept_fields if obj else ()

    def save_model(
        self,
        request: HttpRequest,
        obj: PromoCode,
        form: Any,
        change: bool,  # noqa: FBT001 -- Django's signature
    ) -> None:
        actor, now = staff_of(request), timezone.now()
        if change:
            is_on = form.cleaned_data["is_on"]
            billing.switch_promo_code(code=obj, is_on=is_on, actor=actor, now=now)
        else:
            code = form.cleaned_data["code"]
            made = billing.create_promo_code(code=code, terms=form.terms, actor=actor, now=now)
            # Whatever the admin does next, it does with the code that the service made.
            obj.pk = made.pk
        obj.refresh_from_db()

    @admin.display(description="Amount", ordering="amount_ticks")
    def amount(self, code: PromoCode) -> str:
        return usd(code.amount_ticks)


@admin.register(PromoRedemption)
class PromoRedemptionAdmin(ReadOnlyAdmin):
    """Which team redeemed which code."""

    list_display = ["code", "team", "nth", "redeemed_by", "redeemed_at"]
    list_select_related = ["code", "team", "redeemed_by"]
    search_fields = ["=code__code", "=team__id", "team__name"]
    ordering = ["-redeemed_at", "-pk"]
