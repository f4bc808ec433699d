"""Issued documents, and what is still to be collected for them."""

from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_safe

from accounts.admin import ReadOnlyAdmin
from accounts.web import staff_of
from audit import services as audit
from billing import services as billing
from billing.admin.shown import dollars, named_month
from billing.models import Invoice, Receivable
from billing.rules import usd_cents


@admin.register(Invoice)
class InvoiceAdmin(ReadOnlyAdmin):
    """Receipts, invoices and credit notes."""

    total = dollars("total_cents", "Total")
    credits_used = dollars("credits_used_ticks", "Paid by credits before")
    named_month = named_month

    list_display = ["reference", "team", "kind", "standing", "total", "issued_at"]
    list_filter = ["kind", "series"]
    list_select_related = ["team", "receivable"]
    search_fields = ["=id", "=team__id", "team__name", "=number"]
    ordering = ["-issued_at", "-pk"]
    fields = [
        "reference", "team", "kind", "standing", "issued_at", "named_month", "purchase", "refund",
        "receivable", "issued_by", "billed_to", "items", "sums", "credits_used", "paid", "id",
    ]  # fmt: skip

    def get_urls(self) -> list[URLPattern]:
        pdf = self.admin_site.admin_view(self.pdf)
        return [
            path("<uuid:invoice_id>/pdf/", pdf, name="billing_invoice_pdf"),
            *super().get_urls(),
        ]

    @method_decorator(require_safe)
    def pdf(self, request: HttpRequest, invoice_id: UUID) -> HttpResponse:
        """Download what the team has. Its audit log says so, as when a member downloads it."""
        invoice = get_object_or_404(Invoice.across_teams.select_related("team"), pk=invoice_id)
        if not self.has_view_permission(request, invoice):
            raise PermissionDenied("You need permission to view invoices.")
        response = HttpResponse(billing.pdf(invoice), content_type="application/pdf")
        response["Content-Disposition"] = f'attachment; filename="{invoice.reference}.pdf"'
        audit.record_read(
            team=invoice.team,
            actor=staff_of(request),
            operation="DownloadInvoice",
            outcome="done",
            now=timezone.now(),
        )
        return response

    @admin.display(description="Issued by")
    def issued_by(self, invoice: Invoice) -> str:
        seller = billing.printed(invoice).seller
        return "\n".join([seller.name, *seller.lines])

    @admin.display(description="Billed to")
    def billed_to(self, invoice: Invoice) -> str:
        buyer = billing.printed(invoice).buyer
        return "\n".join([buyer.name, *buyer.lines])

    @admin.display(description="Items")
    def items(self, invoice: Invoice) -> str:
        items = []
        for row in billing.printed(invoice).rows:
            quantity = f"{row.quantity} at {row.price} a million" if row.quantity else ""
            about = ", ".join(filter(None, [row.model, row.item, quantity, row.month]))
            items.append(f"{about}: {row.amount}")
        return "\n".join(items) or "-"

    @admin.display(description="Sums")
    def sums(self, invoice: Invoice) -> str:
        printed = billing.printed(invoice)
        return "\n".join(f"{name}: {amount}" for name, amount in [*printed.sums, printed.total])

    @admin.display(description="Paid with")
    def paid(self, invoice: Invoice) -> str:
        return invoice.settled_with or "-"


@admin.register(Receivable)
class ReceivableAdmin(ReadOnlyAdmin):
    """What is collected for invoices: how often it was tried, and when it is next."""

    list_display = ["invoice", "team", "due", "tries", "next_try_at", "paid_at"]
    list_filter = [("paid_at", admin.EmptyFieldListFilter)]
    list_select_related = ["team", "invoice"]
    search_fields = ["=team__id", "team__name", "=invoice__id", "=invoice__number"]
    ordering = ["-pk"]
    fields = ["invoice", "team", "due", "tries", "next_try_at", "paid_at", "paid_with"]

    @admin.display(description="Total")
    def due(self, receivable: Receivable) -> str:
        return usd_cents(receivable.invoice.total_cents)
