"""What teams buy, for staff: looked up, and marked as paid when a bank transfer has arrived."""

from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path
from django.utils import timezone

from accounts import services as accounts
from accounts.admin import ReadOnlyAdmin
from accounts.proof import proof_required
from accounts.web import staff_of
from billing import services as billing
from billing.admin.shown import dollars, reason_of
from billing.models import Purchase, Refund
from billing.rules import usd_cents


@admin.register(Purchase)
class PurchaseAdmin(ReadOnlyAdmin):
    """Purchases of credits, paid or not."""

    amount = dollars("amount_cents", "Credits")
    tax = dollars("tax_cents", "Tax")
    total = dollars("total_cents", "Total")

    list_display = ["created_at", "team", "amount", "means", "standing"]
    list_filter = ["kind", "status"]
    list_select_related = ["team", "refund"]
    search_fields = ["=id", "=team__id", "team__name", "=transfer_reference"]
    ordering = ["-pk"]
    fields = [
        "id", "team", "buyer", "kind", "standing", "why", "amount", "tax", "total", "paid_with",
        "transfer_reference", "refund", "refundable", "created_at", "lapses_at", "completed_at",
    ]  # fmt: skip

    def get_urls(self) -> list[URLPattern]:
        arrived = self.admin_site.admin_view(proof_required(self.mark_as_arrived))
        own = path("<uuid:purchase_id>/arrived/", arrived, name="billing_purchase_arrived")
        return [own, *super().get_urls()]

    def may_mark(self, request: HttpRequest) -> bool:
        """Ask for the permission to change purchases, although nothing else of them changes."""
        return admin.ModelAdmin.has_change_permission(self, request)

    def mark_as_arrived(self, request: HttpRequest, purchase_id: UUID) -> HttpResponse:
        """Add the credits of a bank transfer that staff found on the account."""
        transfers = Purchase.across_teams.filter(kind=Purchase.Kind.TRANSFER)
        purchase = transfers.select_related("team", "buyer").filter(pk=purchase_id).first()
        if purchase is None:
            raise Http404
        if not self.may_mark(request):
            raise PermissionDenied("You need permission to change purchases.")
        page = redirect("admin:billing_purchase_change", purchase.pk)
        if purchase.status == Purchase.Status.SUCCEEDED:
            messages.info(request, "This transfer has arrived already, and is credited.")
            return page
        if request.method == "POST":
            try:
                billing.transfer_arrived(
                    purchase=purchase, actor=staff_of(request), now=timezone.now()
                )
            except accounts.TeamClosedError as error:
                messages.error(request, f"{error} Pay the money back by bank.")
            else:
                messages.success(request, "The credits are added, and the team was mailed.")
            return page
        context = {
            **self.admin_site.each_context(request),
            "title": "Mark as arrived",
            "opts": self.opts,
            "purchase": purchase,
        }
        return render(request, "admin/billing/purchase/arrived.html", context)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        purchase = context["original"]
        context["may_mark"] = self.may_mark(request)
        context["may_refund"] = request.user.has_perm("billing.add_refund") and isinstance(
            _refundable(purchase), billing.Refundable
        )
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description="How")
    def means(self, purchase: Purchase) -> str:
        told = [purchase.get_kind_display(), purchase.transfer_reference]
        return " ".join(filter(None, told))

    @admin.display(description="Status")
    def standing(self, purchase: Purchase) -> str:
        """Say how it ended, also what became of it after it was paid."""
        refund = getattr(purchase, "refund", None)
        if refund and refund.status != Refund.Status.FAILED:
            is_settled = refund.status == Refund.Status.SUCCEEDED
            return "Refunded" if is_settled else "Refund on its way"
        if _is_withdrawn(purchase):
            return "Withdrawn"
        return purchase.get_status_display()

    @admin.display(description="Reason")
    def why(self, purchase: Purchase) -> str:
        return (
            "The team withdrew it." if _is_withdrawn(purchase) else reason_of(purchase.failure_code)
        )

    @admin.display(description="Can be paid back")
    def refundable(self, purchase: Purchase) -> str:
        due = _refundable(purchase)
        return due if isinstance(due, str) else usd_cents(due.total_cents)


def _is_withdrawn(purchase: Purchase) -> bool:
    """Whether the team has ended it; a transfer has no processor that could give another reason."""
    return purchase.kind == Purchase.Kind.TRANSFER and bool(purchase.failure_code)


def _refundable(purchase: Purchase) -> billing.Refundable | str:
    """Say what of a purchase can be paid back, or why nothing can."""
    try:
        return billing.refundable(purchase, now=timezone.now())
    except billing.RefundError as error:
        return str(error)
