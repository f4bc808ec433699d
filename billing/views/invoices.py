"""Invoices, as they were issued."""

from typing import Final
from uuid import UUID

from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from accounts.rules import Permission
from accounts.web import TeamRequest, pager, render_page, team_view
from billing.models import Invoice

INVOICES_PER_PAGE: Final = 50


@team_view(Permission.BILLING_READ, operation="ListInvoices")
@require_safe
def invoices(request: TeamRequest) -> HttpResponse:
    issued = Invoice.of(request.team).select_related("receivable").newest_first()
    page = Paginator(issued, INVOICES_PER_PAGE).get_page(request.GET.get("page"))
    context = {"page": page, "pager": pager(page)}
    return render_page(request, "billing/invoices.html", context)


@team_view(Permission.BILLING_READ, operation="GetInvoice")
@require_safe
def invoice(request: TeamRequest, invoice_id: UUID) -> HttpResponse:
    """Show one document as it was issued, fit for printing."""
    document = get_object_or_404(Invoice.of(request.team), pk=invoice_id)
    return render_page(request, "billing/invoice.html", {"invoice": document})
