"""The page of credits: what there is, buying more, and the spending limit."""

from typing import Final
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from accounts.rules import Permission
from accounts.web import TeamRequest, render_page, team_view
from billing import services as billing
from billing.forms import AlertsForm, BuyForm, PromoForm, SpendingLimitForm, TopUpForm
from billing.models import Purchase
from billing.rules import TICKS_PER_USD

RECENT_ENTRIES: Final = 20
# Below this the page says what happens at zero before it happens.
LOW_TICKS: Final = 5 * TICKS_PER_USD
# Between two parts of the balance's bar.
GAP_PERCENT: Final = 0.4


@team_view(Permission.BILLING_READ, operation="GetBilling")
@require_safe
def credits_page(request: TeamRequest) -> HttpResponse:
    return render_credits(request)


@team_view(Permission.BILLING_WRITE, operation="BeginPurchase")
@require_POST
def buy(request: TeamRequest) -> HttpResponse:
    """Begin a purchase and lead to where it is paid. No money moves here."""
    form = BuyForm(request.POST, methods=billing.methods_on_file(request.team))
    if form.is_valid():
        begin = billing.begin_transfer if form.is_transfer else billing.begin
        try:
            purchase = begin(
                team=request.team,
                actor=request.actor,
                amount_cents=form.cents,
                idempotency_key=str(form.key),
                now=timezone.now(),
            )
        except billing.PurchaseAmountError as error:
            form.add_error("amount", str(error))
        except (billing.IdempotencyConflictError, billing.TransferError) as error:
            form.add_error(None, str(error))
        else:
            return to_checkout(purchase, method=form.method_id)
    return render_credits(request, buy_form=form)


def render_credits(
    request: TeamRequest,
    *,
    buy_form: BuyForm | None = None,
    top_up_form: TopUpForm | None = None,
    limit_form: SpendingLimitForm | None = None,
    alerts_form: AlertsForm | None = None,
    promo_form: PromoForm | None = None,
) -> HttpResponse:
    """Show the page, with the dialog open whose form came back with errors."""
    now = timezone.now()
    standing = billing.balance(request.team, now=now)
    grants = billing.standings(request.team, now=now)
    methods = billing.methods_on_file(request.team)
    top_up = billing.top_up(request.team, now=now)
    context = {
        "balance": standing,
        "shares": _shares(standing),
        "is_low": standing.available_ticks < LOW_TICKS,
        "low_ticks": LOW_TICKS,
        "grants": grants,
        "outlook": billing.outlook(request.team, standing, grants, now=now),
        "entries": billing.recent_entries(request.team, limit=RECENT_ENTRIES),
        "may_write": Permission.BILLING_WRITE in request.membership.permissions,
        "transfers": billing.pending_transfers(request.team, now=now),
        "top_up": top_up,
        "offers_top_up": billing.offers_top_up(),
        "most_top_ups": billing.MOST_TOP_UPS_A_DAY,
        "default_method": next((method for method in methods if method.is_default), None),
        "tax_name": settings.TAX_NAME,
        "tax_percent": settings.TAX_PERCENT,
        "buy_form": buy_form or BuyForm(methods=methods),
        "top_up_form": top_up_form or TopUpForm(top_up=top_up),
        "limit_form": limit_form or SpendingLimitForm(standing=standing),
        "alerts_form": alerts_form or AlertsForm(percents=standing.alert_percents),
        "promo_form": promo_form or PromoForm(),
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


def to_checkout(purchase: Purchase, *, method: str = "") -> HttpResponseRedirect:
    """Lead to where a purchase is paid, with a card on file chosen already if one is named."""
    path = reverse("billing:checkout", args=[purchase.team_id, purchase.pk])
    return redirect(f"{path}?{urlencode({'method': method})}" if method else path)


def to_credits(request: TeamRequest) -> HttpResponseRedirect:
    return redirect("billing:credits", request.team.pk)
