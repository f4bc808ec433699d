"""Paying for a purchase of credits."""

from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods

from accounts.rules import Permission
from accounts.web import TeamRequest, render_page, team_view
from billing import payments
from billing import services as billing
from billing.forms import CardForm
from billing.models import Invoice, Purchase
from billing.rules import TICKS_PER_CENT, months_later, usd
from billing.views.credits import to_checkout, to_credits


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
            return to_checkout(purchase)
        return _to_outcome(request, purchase)
    if purchase.status == Purchase.Status.REQUIRES_ACTION:
        return _to_outcome(request, purchase)
    context = {
        "purchase": purchase,
        "form": form,
        "reason": payments.reason(purchase.failure_code) if purchase.failure_code else "",
        "test_cards": payments.TEST_CARDS,
        "expires_at": _expiry(now),
        "details": billing.details(request.team),
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
    context = {
        "purchase": purchase,
        "expires_at": _expiry(now),
        "details": billing.details(request.team),
    }
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
        return to_credits(request)
    return to_checkout(purchase)
