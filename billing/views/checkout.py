"""Paying by card: for a purchase of credits, and for the invoice of a month, in the same way."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST

from accounts.proof import proof_required
from accounts.rules import Permission
from accounts.web import TeamRequest, rate_limited, render_page, team_view
from billing import payments
from billing import services as billing
from billing.forms import MethodForm
from billing.models import Invoice, Payment, PaymentMethod, Purchase
from billing.rules import months_later, usd_cents
from billing.services import Payable, PayStanding
from billing.views.cards import EntryForm, enter, entry_context, entry_form, runs_stripe

# What the services raise where there is nothing to pay any more: the page says so.
NOT_PAYABLE = (
    billing.PurchaseExpiredError,
    billing.PurchaseNotPayableError,
    billing.InvoicePaidError,
)


# The addresses of paying: the page, where a card on file pays, the bank's question, the way back.
_PURCHASE_PAGES: Final = {
    "page_url": "billing:checkout",
    "charge_url": "billing:charge",
    "confirm_url": "billing:confirm",
}
_INVOICE_PAGES: Final = {
    "page_url": "billing:pay_invoice",
    "charge_url": "billing:charge_invoice",
    "confirm_url": "billing:confirm_invoice",
    "back_url": "billing:invoice",
}


# --- Purchases --------------------------------------------------------------------------------


@runs_stripe
@sensitive_post_parameters("number", "expiry", "cvc")
@team_view(Permission.BILLING_WRITE, operation="GetPurchase")
@rate_limited("enter_card")
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def checkout(request: TeamRequest, purchase_id: UUID) -> HttpResponse:
    """Pay for a purchase by a card that is entered for it; afterwards, say what became of it."""
    return _pay(request, _purchase(request, purchase_id))


@team_view(Permission.BILLING_WRITE, operation="GetPurchase")
@proof_required
@require_POST
def charge(request: TeamRequest, purchase_id: UUID) -> HttpResponse:
    """Pay for a purchase by a card on file."""
    return _charge(request, _purchase(request, purchase_id))


@runs_stripe
@team_view(Permission.BILLING_WRITE, operation="GetPurchase")
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def confirm(request: TeamRequest, purchase_id: UUID) -> HttpResponse:
    """Answer the bank that asks whether a payment is approved."""
    return _confirm(request, _purchase(request, purchase_id))


# --- Invoices ---------------------------------------------------------------------------------


@runs_stripe
@sensitive_post_parameters("number", "expiry", "cvc")
@team_view(Permission.BILLING_WRITE, operation="PayInvoice")
@rate_limited("enter_card")
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def pay_invoice(request: TeamRequest, invoice_id: UUID) -> HttpResponse:
    """Pay an invoice by a card that is entered for it."""
    return _pay(request, _invoice(request, invoice_id))


@team_view(Permission.BILLING_WRITE, operation="PayInvoice")
@proof_required
@require_POST
def charge_invoice(request: TeamRequest, invoice_id: UUID) -> HttpResponse:
    """Pay an invoice by a card on file."""
    return _charge(request, _invoice(request, invoice_id))


@runs_stripe
@team_view(Permission.BILLING_WRITE, operation="PayInvoice")
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def confirm_invoice(request: TeamRequest, invoice_id: UUID) -> HttpResponse:
    """Answer the bank that asks whether the payment of an invoice is approved."""
    return _confirm(request, _invoice(request, invoice_id))


# --- Both -------------------------------------------------------------------------------------


@sensitive_variables("form")
def _pay(request: TeamRequest, payable: Payable) -> HttpResponse:
    now = timezone.now()
    form = entry_form(request.POST if request.method == "POST" else None, now=now)
    if request.method == "POST" and payable.standing != PayStanding.PAYABLE:
        return _to_outcome(request, payable)
    if request.method == "POST" and form.is_valid():
        method = enter(request, form, now=now)
        if method:
            return _collect(request, payable, method, now)
    if payable.standing == PayStanding.ASKED or (
        payable.standing == PayStanding.PAID and payable.invoice
    ):
        return _to_outcome(request, payable)
    return _page(request, payable, form=form)


def _charge(request: TeamRequest, payable: Payable) -> HttpResponse:
    if payable.standing != PayStanding.PAYABLE:
        return _to_outcome(request, payable)
    form = MethodForm(request.POST, methods=billing.methods_on_file(request.team))
    if not form.is_valid():
        return _page(request, payable, method_form=form)
    try:
        method = billing.usable_method(request.team, form.method_id)
    except billing.MethodGoneError as error:
        form.add_error("method", str(error))
        return _page(request, payable, method_form=form)
    return _collect(request, payable, method, timezone.now())


def _collect(
    request: TeamRequest, payable: Payable, method: PaymentMethod, now: datetime
) -> HttpResponse:
    try:
        billing.collect(target=payable.target, method=method, actor=request.actor, now=now)
    except (*NOT_PAYABLE, billing.MethodGoneError) as error:
        messages.error(request, str(error))
        return redirect(_addresses(payable)["page_url"])
    return _to_outcome(request, billing.payable(payable.target))


def _confirm(request: TeamRequest, payable: Payable) -> HttpResponse:
    payment = payable.payment
    if payment is None or payable.standing != PayStanding.ASKED:
        return _to_outcome(request, payable)
    is_decided = payments.is_sandbox() or request.POST.get("answer") == "decline"
    try:
        if request.method == "POST" and is_decided:
            approved = request.POST.get("answer") == "approve"
            billing.answer_bank(
                payment=payment, actor=request.actor, approved=approved, now=timezone.now()
            )
        if request.method == "POST":
            # At Stripe the person has answered in the browser, and `_purchase` asked what it was.
            return _to_outcome(request, billing.payable(payable.target))
        secret = "" if payments.is_sandbox() else billing.bank_question(payment).client_secret
    except billing.ProcessorUnavailableError as error:
        messages.error(request, str(error))
        return redirect(_addresses(payable)["back_url"])
    context = {**_context(request, payable), "payment": payment, "client_secret": secret}
    return render_page(request, "billing/confirm.html", context)


@sensitive_variables("form")
def _page(
    request: TeamRequest,
    payable: Payable,
    *,
    form: EntryForm | None = None,
    method_form: MethodForm | None = None,
) -> HttpResponse:
    methods = billing.methods_on_file(request.team)
    named = next((each for each in methods if str(each.pk) == request.GET.get("method")), None)
    chosen = named or next(iter(methods), None)
    purchase = payable.purchase
    context = {
        **_context(request, payable),
        "form": form or entry_form(None, now=timezone.now()),
        "method_form": method_form
        or MethodForm(methods=methods, initial={"method": chosen and str(chosen.pk)}),
        "has_methods": bool(methods or method_form),
        # Who has chosen a card on file already is asked for that one first.
        "is_on_file_first": bool(named or method_form),
        "invoice": Invoice.of(request.team).filter(purchase=purchase).first() if purchase else None,
        "account": billing.transfer_account(),
    }
    return render_page(request, "billing/checkout.html", context)


def _context(request: TeamRequest, payable: Payable) -> dict[str, Any]:
    """Give what both pages need to say what is paid for and for whom."""
    return {
        "payable": payable,
        "purchase": payable.purchase,
        **_addresses(payable),
        "expires_at": _expiry(timezone.now()),
        "details": billing.details(request.team),
        "tax_name": settings.TAX_NAME,
        **entry_context(),
    }


def _addresses(payable: Payable) -> dict[str, str]:
    """Say where the pages of paying for this are, and where one goes back to."""
    target = payable.target
    names = _PURCHASE_PAGES if payable.purchase else _INVOICE_PAGES
    # Credits that are bought have no page of their own.
    credits_url = reverse("billing:credits", args=[target.team_id])
    addresses = {
        key: reverse(name, args=[target.team_id, target.pk]) for key, name in names.items()
    }
    return {"back_url": credits_url, **addresses}


def _expiry(now: datetime) -> datetime | None:
    """Say until when credits that are bought now can be used; None: for ever."""
    months = settings.PREPAID_EXPIRY_MONTHS
    return months_later(now, months) if months else None


def _purchase(request: TeamRequest, purchase_id: UUID) -> Payable:
    found = Purchase.of(request.team).select_related("team", "buyer")
    purchase = get_object_or_404(found, pk=purchase_id)
    try:
        purchase = billing.reconcile(purchase=purchase, now=timezone.now())
    except billing.ProcessorUnavailableError as error:
        messages.error(request, str(error))
    return billing.payable(purchase)


def _invoice(request: TeamRequest, invoice_id: UUID) -> Payable:
    bills = Invoice.of(request.team).filter(kind=Invoice.Kind.MONTH)
    invoice = get_object_or_404(bills.select_related("team", "receivable"), pk=invoice_id)
    payment = billing.living_payment(invoice)
    if payment and payment.status in Payment.UNDECIDED:
        try:
            billing.reconcile_payment(payment=payment, now=timezone.now())
        except billing.ProcessorUnavailableError as error:
            messages.error(request, str(error))
    return billing.payable(invoice)


def _to_outcome(request: TeamRequest, payable: Payable) -> HttpResponseRedirect:
    """Lead to where it goes on: the bank's question, what was paid for, or the page of paying."""
    standing = payable.standing
    if standing == PayStanding.ASKED:
        return redirect(_addresses(payable)["confirm_url"])
    if standing == PayStanding.PAID and payable.invoice:
        messages.success(request, f"Invoice {payable.invoice.reference} is paid.")
        return redirect(_addresses(payable)["back_url"])
    if standing == PayStanding.PAID and payable.purchase and request.method == "POST":
        bought = usd_cents(payable.purchase.amount_cents)
        messages.success(request, f"{request.team.name} has {bought} more to spend.")
        return redirect(_addresses(payable)["back_url"])
    return redirect(_addresses(payable)["page_url"])
