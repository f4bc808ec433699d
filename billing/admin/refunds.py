"""Paying back what is unspent of a purchase, where the law requires it."""

from typing import Any, Final
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.widgets import AdminTextInputWidget
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import URLPattern, path
from django.utils import timezone

from accounts.admin import ReadOnlyAdmin
from accounts.proof import proof_required
from accounts.web import staff_of
from billing import services as billing
from billing.admin.shown import dollars
from billing.models import Purchase, Refund

REASON_LENGTH: Final = 200


class RefundForm(forms.Form):
    """Why a purchase is paid back."""

    reason = forms.CharField(
        max_length=REASON_LENGTH,
        widget=AdminTextInputWidget,
        help_text="For the audit log, which the team reads: the law and the customer's request.",
    )


@admin.register(Refund)
class RefundAdmin(ReadOnlyAdmin):
    """Refunds of all teams, and the pages that make and settle one.

    They are no forms of the admin's own, since those run in a transaction, and the processor is
    asked between ours.
    """

    amount = dollars("amount_cents", "Credits")
    tax = dollars("tax_cents", "Tax")
    total = dollars("total_cents", "Total")

    list_display = ["created_at", "team", "total", "status", "made_by"]
    list_filter = ["status"]
    list_select_related = ["team", "made_by"]
    search_fields = ["=id", "=team__id", "team__name", "=purchase__id", "=reference"]
    ordering = ["-pk"]
    fields = [
        "id", "team", "purchase", "amount", "tax", "total", "reason", "made_by", "status",
        "reference", "created_at", "decided_at",
    ]  # fmt: skip

    def get_urls(self) -> list[URLPattern]:
        make = self.admin_site.admin_view(proof_required(self.make))
        settle = self.admin_site.admin_view(proof_required(self.settle))
        return [
            path("of/<uuid:purchase_id>/", make, name="billing_refund_make"),
            path("<uuid:refund_id>/settle/", settle, name="billing_refund_settle"),
            *super().get_urls(),
        ]

    def may_refund(self, request: HttpRequest) -> bool:
        return admin.ModelAdmin.has_add_permission(self, request)

    def make(self, request: HttpRequest, purchase_id: UUID) -> HttpResponse:
        """Say what would be paid back, ask why, and do it."""
        if not self.may_refund(request):
            raise PermissionDenied("You need permission to add refunds.")
        purchases = Purchase.across_teams.select_related("team", "buyer")
        purchase, now = get_object_or_404(purchases, pk=purchase_id), timezone.now()
        form = RefundForm(request.POST if request.method == "POST" else None)
        try:
            due = billing.refundable(purchase, now=now)
            if request.method == "POST" and form.is_valid():
                reason = form.cleaned_data["reason"]
                refund = billing.refund(
                    purchase=purchase, actor=staff_of(request), reason=reason, now=now
                )
                self._tell(request, refund)
                return redirect("admin:billing_refund_change", refund.pk)
        except billing.RefundError as error:
            messages.error(request, str(error))
            return redirect("admin:billing_purchase_change", purchase.pk)
        context = {"purchase": purchase, "due": due, "form": form, "title": "Refund a purchase"}
        return self._page(request, "make", context)

    def settle(self, request: HttpRequest, refund_id: UUID) -> HttpResponse:
        """Book what became of money that staff sent back by bank."""
        if not self.may_refund(request):
            raise PermissionDenied("You need permission to add refunds.")
        refunds = Refund.across_teams.select_related("team", "purchase", "made_by")
        refund = get_object_or_404(refunds, pk=refund_id)
        if request.method == "POST":
            is_paid = "paid" in request.POST
            try:
                refund = billing.settle_transfer_refund(
                    refund=refund, is_paid=is_paid, now=timezone.now()
                )
            except billing.RefundError as error:
                messages.error(request, str(error))
            else:
                self._tell(request, refund)
            return redirect("admin:billing_refund_change", refund.pk)
        return self._page(request, "settle", {"refund": refund, "title": "Settle a refund"})

    def _page(self, request: HttpRequest, name: str, context: dict[str, Any]) -> HttpResponse:
        shared = {**self.admin_site.each_context(request), "opts": self.opts}
        return render(request, f"admin/billing/refund/{name}.html", {**shared, **context})

    def _tell(self, request: HttpRequest, refund: Refund) -> None:
        if refund.status == Refund.Status.SUCCEEDED:
            messages.success(request, "Paid back. The team has a credit note.")
        elif refund.status == Refund.Status.FAILED:
            messages.error(request, "It could not be paid back. The credits are with the team.")
        else:
            messages.warning(request, "The credits are taken back. The money is on its way.")

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        refund = context.get("original")
        context["may_settle"] = bool(
            refund
            and self.may_refund(request)
            and refund.status == Refund.Status.PENDING
            and refund.purchase.kind == Purchase.Kind.TRANSFER
        )
        return super().render_change_form(request, context, *args, **kwargs)
