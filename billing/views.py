"""The billing pages: credits, buying them, the spending limit, and invoices."""

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.proof import proof_required
from accounts.rules import Permission
from accounts.web import TeamRequest, pager, render_page, team_view
from billing import payments
from billing import services as billing
from billing.forms import BuyForm, CardForm, SpendingLimitForm
from billing.models import Invoice, Purchase
from billing.rules import TICKS_PER_CENT, TICKS_PER_USD, cycle_of, months_later, usd

RECENT_ENTRIES: Final = 20
INVOICES_PER_PAGE: Final = 50
# Who just paid sees the outcome. What was left open before that, the job finds out.
RECONCILED_IN_PASSING: Final = 3
# Below this the page says what happens at zero before it happens.
LOW_TICKS: Final = 5 * TICKS_PER_USD
# Between two parts of the balance's bar.
GAP_PERCENT: Final = 0.4


# --- Credits ----------------------------------------------------------------------------------


@team_view(Permission.BILLING_READ, operation="GetBilling")
@require_safe
def credits_page(request: TeamRequest) -> HttpResponse:
    return _credits_page(request)


@team_view(Permission.BILLING_WRITE, operation="BeginPurchase")
@require_POST
def buy(request: TeamRequest) -> HttpResponse:
    """Begin a purchase and lead to its checkout. No money moves here."""
    form = BuyForm(request.POST)
    if form.is_valid():
        try:
            purchase = billing.begin(
                team=request.team,
                actor=request.actor,
                amount_cents=form.cents,
                idempotency_key=str(form.key),
                now=timezone.now(),
            )
        except billing.PurchaseAmountError as error:
            form.add_error("amount", str(error))
        except billing.IdempotencyConflictError as error:
            form.add_error(None, str(error))
        else:
            return _to_checkout(purchase)
    return _credits_page(request, buy_form=form)


@team_view(Permission.BILLING_WRITE, operation="SetSpendingLimit")
@proof_required
@require_POST
def spending_limit(request: TeamRequest) -> HttpResponse:
    now = timezone.now()
    form = SpendingLimitForm(request.POST, standing=billing.balance(request.team, now=now))
    if form.is_valid():
        try:
            billing.set_spending_limit(
                team=request.team, actor=request.actor, limit_ticks=form.ticks, now=now
            )
        except billing.SpendingLimitError as error:
            form.add_error("limit", str(error))
        else:
            messages.success(request, "Spending limit changed. It is in force now.")
            return _to_credits(request)
    return _credits_page(request, limit_form=form)


def _credits_page(
    request: TeamRequest,
    *,
    buy_form: BuyForm | None = None,
    limit_form: SpendingLimitForm | None = None,
) -> HttpResponse:
    now = timezone.now()
    billing.reconcile_all(team=request.team, at_most=RECONCILED_IN_PASSING, now=now)
    standing = billing.balance(request.team, now=now)
    context = {
        "balance": standing,
        "shares": _shares(standing),
        "limit_percent": _limit_percent(standing),
        "is_low": standing.available_ticks < LOW_TICKS,
        "low_ticks": LOW_TICKS,
        "grants": billing.standings(request.team, now=now),
        "entries": billing.recent_entries(request.team, limit=RECENT_ENTRIES),
        "month": cycle_of(now),
        "resets_at": months_later(datetime.combine(cycle_of(now), datetime.min.time(), UTC), 1),
        "may_write": Permission.BILLING_WRITE in request.membership.permissions,
        "buy_form": buy_form or BuyForm(),
        "limit_form": limit_form or SpendingLimitForm(standing=standing),
        "expiry_months": settings.PREPAID_EXPIRY_MONTHS,
    }
    return render_page(request, "billing/credits.html", context)


def _shares(standing: billing.Balance) -> dict[str, float]:
    """Say how the parts of the balance share its bar, in percent, with a gap between two parts."""
    total = standing.total_ticks
    if not total:
        return {}
    parts = (standing.free_ticks, standing.prepaid_ticks, standing.invoice_left_ticks)
    free, prepaid, invoice = (round(100 * part / total, 1) for part in parts)
    before_invoice = round(100 - invoice, 1)
    return {
        "free": free,
        "prepaid": prepaid,
        "prepaid_from": free + GAP_PERCENT if free else 0,
        "invoice": invoice,
        "invoice_from": before_invoice + GAP_PERCENT if before_invoice else 0,
    }


def _limit_percent(standing: billing.Balance) -> int:
    """Say how much of the spending limit is used; all, when staff lowered it under that."""
    limit = standing.spending_limit_ticks
    return min(100, 100 * standing.accrued_ticks // limit) if limit else 100


# --- Buying -----------------------------------------------------------------------------------


@sensitive_post_parameters("number", "expiry", "cvc")
@team_view(Permission.BILLING_WRITE, operation="GetPurchase")
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@sensitive_variables("form")
def checkout(request: TeamRequest, purchase_id: UUID) -> HttpResponse:
    """Pay for a purchase by card; afterwards, say what became of it."""
    now = timezone.now()
    purchase = billing.reconcile(purchase=_purchase_or_404(request, purchase_id), now=now)
    form = CardForm(request.POST or None, now=now)
    if request.method == "POST" and not purchase.is_payable:
        return _to_outcome(request, purchase)
    if request.method == "POST" and form.is_valid():
        try:
            purchase = billing.pay(purchase=purchase, actor=request.actor, card=form.card, now=now)
        except billing.PurchaseExpiredError:
            return _to_checkout(purchase)
        return _to_outcome(request, purchase)
    if purchase.status == Purchase.Status.REQUIRES_ACTION:
        return _to_outcome(request, purchase)
    context = {
        "purchase": purchase,
        "form": form,
        "reason": payments.reason(purchase.failure_code) if purchase.failure_code else "",
        "test_cards": payments.TEST_CARDS,
        "expires_at": _expiry(now),
        "invoice": Invoice.of(request.team).filter(purchase=purchase).first(),
    }
    return render_page(request, "billing/checkout.html", context)


@team_view(Permission.BILLING_WRITE, operation="GetPurchase")
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def confirm(request: TeamRequest, purchase_id: UUID) -> HttpResponse:
    """Stand in for the bank's page that asks whether a payment is approved."""
    now = timezone.now()
    purchase = billing.reconcile(purchase=_purchase_or_404(request, purchase_id), now=now)
    if request.method == "POST" and purchase.status == Purchase.Status.REQUIRES_ACTION:
        approved = request.POST.get("answer") == "approve"
        purchase = billing.confirm(
            purchase=purchase, actor=request.actor, approved=approved, now=now
        )
    if request.method == "POST" or purchase.status != Purchase.Status.REQUIRES_ACTION:
        return _to_outcome(request, purchase)
    context = {"purchase": purchase, "expires_at": _expiry(now)}
    return render_page(request, "billing/confirm.html", context)


def _expiry(now: datetime) -> datetime | None:
    """Say until when credits that are bought now can be used; None: for ever."""
    months = settings.PREPAID_EXPIRY_MONTHS
    return months_later(now, months) if months else None


def _purchase_or_404(request: TeamRequest, purchase_id: UUID) -> Purchase:
    return get_object_or_404(
        Purchase.of(request.team).select_related("team", "buyer"), pk=purchase_id
    )


def _to_outcome(request: TeamRequest, purchase: Purchase) -> HttpResponseRedirect:
    """Lead to where a purchase goes on: the bank's question, the new balance, or its checkout."""
    if purchase.status == Purchase.Status.REQUIRES_ACTION:
        return redirect("billing:confirm", purchase.team_id, purchase.pk)
    if purchase.status == Purchase.Status.SUCCEEDED and request.method == "POST":
        bought = usd(purchase.amount_cents * TICKS_PER_CENT)
        messages.success(request, f"{request.team.name} has {bought} more to spend.")
        return _to_credits(request)
    return _to_checkout(purchase)


def _to_checkout(purchase: Purchase) -> HttpResponseRedirect:
    return redirect("billing:checkout", purchase.team_id, purchase.pk)


def _to_credits(request: TeamRequest) -> HttpResponseRedirect:
    return redirect("billing:credits", request.team.pk)


# --- Invoices ---------------------------------------------------------------------------------


@team_view(Permission.BILLING_READ, operation="ListInvoices")
@require_safe
def invoices(request: TeamRequest) -> HttpResponse:
    issued = Invoice.of(request.team).newest_first()
    page = Paginator(issued, INVOICES_PER_PAGE).get_page(request.GET.get("page"))
    context = {"page": page, "pager": pager(page)}
    return render_page(request, "billing/invoices.html", context)


@team_view(Permission.BILLING_READ, operation="GetInvoice")
@require_safe
def invoice(request: TeamRequest, invoice_id: UUID) -> HttpResponse:
    """Show one document as it was issued, fit for printing."""
    document = get_object_or_404(Invoice.of(request.team), pk=invoice_id)
    return render_page(request, "billing/invoice.html", {"invoice": document})
