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
from billing.models import Purchase


@admin.register(Purchase)
class PurchaseAdmin(ReadOnlyAdmin):
    """Purchases of credits, paid or not."""

    list_display = [
        "id", "team", "buyer", "kind", "status", "amount_cents", "transfer_reference",
        "failure_code", "created_at",
    ]  # fmt: skip
    list_filter = ["kind", "status"]
    list_select_related = ["team", "buyer"]
    search_fields = ["=id", "=team__id", "=transfer_reference"]
    ordering = ["-pk"]

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
        context["may_mark"] = self.may_mark(request)
        return super().render_change_form(request, context, *args, **kwargs)
