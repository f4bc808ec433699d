"""Invoices, as they were issued: the list, a page and files of each, and what is to come."""

from datetime import timedelta
from typing import Final
from uuid import UUID

from django.core.paginator import Paginator
from django.db.models import Count, Sum
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.rules import Permission
from accounts.web import TeamRequest, pager, render_page, team_view
from billing import services as billing
from billing.models import BillingAccount, Invoice
from billing.rules import month_after

INVOICES_PER_PAGE: Final = 50


@team_view(Permission.BILLING_READ, operation="ListInvoices")
@require_safe
def invoices(request: TeamRequest) -> HttpResponse:
    issued = Invoice.of(request.team).select_related("receivable").newest_first()
    page = Paginator(issued, INVOICES_PER_PAGE).get_page(request.GET.get("page"))
    unpaid = Invoice.of(request.team).unpaid()
    context = {
        "page": page,
        "pager": pager(page),
        "unpaid": unpaid.aggregate(count=Count("pk"), cents=Sum("total_cents")),
        "is_blocked": _is_blocked(request),
        "may_write": Permission.BILLING_WRITE in request.membership.permissions,
    }
    return render_page(request, "billing/invoices.html", context)


@team_view(Permission.BILLING_READ, operation="GetInvoice")
@require_safe
def invoice(request: TeamRequest, invoice_id: UUID) -> HttpResponse:
    """Show one document as it was issued, fit for printing."""
    document = _document(request, invoice_id)
    context = {
        "invoice": document,
        "counterpart": billing.counterpart(document),
        "printed": billing.printed(document),
        "is_blocked": document.is_open and _is_blocked(request),
        "may_write": Permission.BILLING_WRITE in request.membership.permissions,
    }
    return render_page(request, "billing/invoice.html", context)


@team_view(Permission.BILLING_READ, operation="DownloadInvoice")
@require_safe
def invoice_pdf(request: TeamRequest, invoice_id: UUID) -> HttpResponse:
    """Download a document: the same file whenever it is asked for."""
    document = _document(request, invoice_id)
    return _file(billing.pdf(document), f"{document.reference}.pdf", "application/pdf")


@team_view(Permission.BILLING_READ, operation="ExportInvoiceItems")
@require_safe
def invoice_csv(request: TeamRequest, invoice_id: UUID) -> HttpResponse:
    """Download the billing items of a month's invoice."""
    document = _document(request, invoice_id)
    if document.month is None:
        raise Http404
    name = f"{document.reference}.csv"
    return _file(billing.invoice_csv(document), name, "text/csv; charset=utf-8")


@team_view(Permission.BILLING_READ, operation="PreviewInvoice")
@require_safe
def preview(request: TeamRequest) -> HttpResponse:
    """Show what the invoice of the running month would be if it ended now."""
    now = timezone.now()
    coming = billing.preview_month(request.team, now=now)
    month = coming.draft.month if coming else billing.cycle_of(now)
    context = {
        "month": month,
        "last_day": month_after(month) - timedelta(days=1),
        "preview": coming,
        "printed": billing.printed_draft(coming.draft) if coming else None,
        "least_cents": billing.LEAST_CENTS,
        "may_write": Permission.BILLING_WRITE in request.membership.permissions,
        "is_invoiced_early": billing.balance(request.team, now=now).is_invoiced_early,
    }
    return render_page(request, "billing/preview.html", context)


def _document(request: TeamRequest, invoice_id: UUID) -> Invoice:
    issued = Invoice.of(request.team).select_related("receivable", "team")
    return get_object_or_404(issued, pk=invoice_id)


def _is_blocked(request: TeamRequest) -> bool:
    """Say whether an invoice that was not paid in time keeps the team from having more."""
    return BillingAccount.of(request.team).filter(invoicing_blocked_at__isnull=False).exists()


def _file(content: bytes, name: str, content_type: str) -> HttpResponse:
    response = HttpResponse(content, content_type=content_type)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
