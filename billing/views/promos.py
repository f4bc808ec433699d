"""Redeeming a promo code on the page of credits."""

from http import HTTPStatus

from django.contrib import messages
from django.http import HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_POST

from accounts.rules import Permission
from accounts.web import TeamRequest, is_too_often, team_view
from billing import services as billing
from billing.forms import PromoForm
from billing.rules import usd
from billing.views.credits import render_credits, to_credits


@team_view(Permission.BILLING_WRITE, operation="RedeemPromoCode")
@require_POST
def redeem(request: TeamRequest) -> HttpResponse:
    form = PromoForm(request.POST)
    if is_too_often(request, "redeem_code"):
        form.add_error("code", "These were many codes in a short time. Try again in 5 minutes.")
        response = render_credits(request, promo_form=form)
        response.status_code = HTTPStatus.TOO_MANY_REQUESTS
        return response
    if form.is_valid():
        try:
            given = billing.redeem(
                team=request.team,
                actor=request.actor,
                code=form.cleaned_data["code"],
                idempotency_key=form.key,
                now=timezone.now(),
            )
        except (billing.PromoCodeError, billing.IdempotencyConflictError) as error:
            form.add_error("code", str(error))
        else:
            more = usd(given.amount_ticks)
            messages.success(request, f"{request.team.name} has {more} more to spend.")
            return to_credits(request)
    return render_credits(request, promo_form=form)
