"""Paying by card: for a purchase of credits, and for the invoice of a month, in the same way."""

from dataclasses import dataclass
from datetime import datetime
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
from billing.rules import TICKS_PER_CENT, months_later, usd
from billing.views.cards import EntryForm, enter, entry_context, entry_form, runs_stripe

# What the services raise where there is nothing to pay any more: the page says so.
NOT_PAYABLE = (
    billing.PurchaseExpiredError,
    billing.PurchaseNotPayableError,
    billing.InvoicePaidError,
)


@dataclass(frozen=True, slots=True)
class Payable:
    """A purchase or an invoice as the pages of paying see it."""

    target: Purchase | Invoice
    payment: Payment | None  # The one that has paid, or may yet.

    @property
    def purchase(self) -> Purchase | None:
        return self.target if isinstance(self.target, Purchase) else None

    @property
    def invoice(self) -> Invoice | None:
        return self.target if isinstance(self.target, Invoice) else None

    @property
    def standing(self) -> str:
        """One of payable, processing, asked, paid and expired; of a transfer, transfer."""
        if self.payment:
            return {
                Payment.Status.PROCESSING: "processing",
                Payment.Status.REQUIRES_ACTION: "asked",
                Payment.Status.SUCCEEDED: "paid",
            }[Payment.Status(self.payment.status)]
        if self.invoice:
            return "payable" if self.invoice.is_open else "paid"
        purchase = self.purchase
        if purchase is None or purchase.status == Purchase.Status.SUCCEEDED:
            return "paid"
        if purchase.status == Purchase.Status.EXPIRED:
            return "expired"
        return "transfer" if purchase.kind == Purchase.Kind.TRANSFER else "payable"

    @property
    def reason(self) -> str:
        """Why the last attempt took nothing; empty if there was none."""
        code = self.target.failure_code if isinstance(self.target, Purchase) else self._last_code
        return payments.reason(code) if code else ""

    @property
    def _last_code(self) -> str:
        last = Payment.of(self.target.team).filter(invoice=self.invoice).order_by("-pk").first()
        return last.failure_code if last else ""

    @property
    def page_url(self) -> str:
        return self._url("billing:checkout" if self.purchase else "billing:pay_invoice")

    @property
    def charge_url(self) -> str:
        return self._url("billing:charge" if self.purchase else "billing:charge_invoice")

    @property
    def confirm_url(self) -> str:
        return self._url("billing:confirm" if self.purchase else "billing:confirm_invoice")

    @property
    def back_url(self) -> str:
        if self.purchase:
            return reverse("billing:credits", args=[self.target.team_id])
        return self._url("billing:invoice")

    def _url(self, name: str) -> str:
        return reverse(name, args=[self.target.team_id, self.target.pk])


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
    if request.method == "POST" and payable.standing != "payable":
        return _to_outcome(request, payable)
    if request.method == "POST" and form.is_valid():
        method = enter(request, form, now=now)
        if method:
            return _collect(request, payable, method, now)
    if payable.standing == "asked" or (payable.standing == "paid" and payable.invoice):
        return _to_outcome(request, payable)
    return _page(request, payable, form=form)


def _charge(request: TeamRequest, payable: Payable) -> HttpResponse:
    if payable.standing != "payable":
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
        return redirect(payable.page_url)
    return _to_outcome(request, _anew(payable))


def _confirm(request: TeamRequest, payable: Payable) -> HttpResponse:
    payment = payable.payment
    if payment is None or payable.standing != "asked":
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
            return _to_outcome(request, _anew(payable))
        secret = "" if payments.is_sandbox() else billing.bank_question(payment).client_secret
    except billing.ProcessorUnavailableError as error:
        messages.error(request, str(error))
        return redirect(payable.back_url)
    context = {
        "payable": payable,
        "purchase": payable.purchase,
        "payment": payment,
        "client_secret": secret,
        "expires_at": _expiry(timezone.now()),
        "details": billing.details(request.team),
        "tax_name": settings.TAX_NAME,
        **entry_context(),
    }
    return render_page(request, "billing/confirm.html", context)


@sensitive_variables("form")
def _page(
    request: TeamRequest,
    payable: Payable,
    *,
    form: EntryForm | None = None,
    method_form: MethodForm | None = None,
) -> HttpResponse:
    now = timezone.now()
    methods = billing.methods_on_file(request.team)
    chosen = request.GET.get("method") or (str(methods[0].pk) if methods else "")
    purchase = payable.purchase
    context = {
        "payable": payable,
        "purchase": purchase,
        "form": form or entry_form(None, now=now),
        "method_form": method_form or MethodForm(methods=methods, initial={"method": chosen}),
        "methods": methods,
        "expires_at": _expiry(now),
        "details": billing.details(request.team),
        "tax_name": settings.TAX_NAME,
        "invoice": Invoice.of(request.team).filter(purchase=purchase).first() if purchase else None,
        "account": billing.transfer_account(),
        **entry_context(),
    }
    return render_page(request, "billing/checkout.html", context)


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
    return Payable(purchase, billing.living_payment(purchase))


def _invoice(request: TeamRequest, invoice_id: UUID) -> Payable:
    bills = Invoice.of(request.team).filter(kind=Invoice.Kind.MONTH)
    invoice = get_object_or_404(bills.select_related("team", "receivable"), pk=invoice_id)
    payment = billing.living_payment(invoice)
    if payment and payment.status in Payment.UNDECIDED:
        try:
            billing.reconcile_payment(payment=payment, now=timezone.now())
        except billing.ProcessorUnavailableError as error:
            messages.error(request, str(error))
    return _anew(Payable(invoice, payment))


def _anew(payable: Payable) -> Payable:
    """Read again what an attempt to pay may have changed."""
    target = payable.target
    if isinstance(target, Purchase):
        again: Purchase | Invoice = (
            Purchase.of(target.team).select_related("team", "buyer").get(pk=target.pk)
        )
    else:
        again = Invoice.of(target.team).select_related("team", "receivable").get(pk=target.pk)
    return Payable(again, billing.living_payment(again))


def _to_outcome(request: TeamRequest, payable: Payable) -> HttpResponseRedirect:
    """Lead to where it goes on: the bank's question, what was paid for, or the page of paying."""
    standing = payable.standing
    if standing == "asked":
        return redirect(payable.confirm_url)
    if standing == "paid" and payable.invoice:
        messages.success(request, f"Invoice {payable.invoice.reference} is paid.")
        return redirect(payable.back_url)
    if standing == "paid" and payable.purchase and request.method == "POST":
        bought = usd(payable.purchase.amount_cents * TICKS_PER_CENT)
        messages.success(request, f"{request.team.name} has {bought} more to spend.")
        return redirect(payable.back_url)
    return redirect(payable.page_url)
