"""The cards that a team has on file: adding, choosing and removing them."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST

from accounts.proof import proof_required
from accounts.rules import Permission
from accounts.web import TeamRequest, rate_limited, render_page, team_view
from billing import payments
from billing import services as billing
from billing.models import PaymentMethod
from billing.views.cards import enter, entry_context, entry_form, runs_stripe


@runs_stripe
@sensitive_post_parameters("number", "expiry", "cvc")
@team_view(Permission.BILLING_WRITE, operation="AddPaymentMethod")
@proof_required(keep=False)
@rate_limited("enter_card")
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@sensitive_variables("form")
def add_method(request: TeamRequest) -> HttpResponse:
    """Keep a card on file without charging it."""
    now = timezone.now()
    form = entry_form(request.POST if request.method == "POST" else None, now=now)
    if form.is_valid() and (method := enter(request, form, now=now)):
        kept = billing.add_method(team=request.team, actor=request.actor, method=method, now=now)
        messages.success(request, f"{kept} is on file for {request.team.name}.")
        return _to_details(request)
    context = {"form": form, **entry_context()}
    return render_page(request, "billing/add_method.html", context)


@team_view(Permission.BILLING_WRITE, operation="AddPaymentMethod")
@rate_limited("enter_card")
@require_POST
def begin_entry(request: TeamRequest) -> HttpResponse:
    """Tell stripe.js by what the browser can enter a card at Stripe."""
    if payments.is_sandbox():
        return redirect("billing:add_method", request.team.pk)  # There the card is typed.
    try:
        setup = billing.begin_entry(team=request.team)
    except billing.ProcessorUnavailableError as error:
        return JsonResponse({"error": str(error)}, status=503)
    return JsonResponse({"setup": setup.reference, "client_secret": setup.client_secret})


@team_view(Permission.BILLING_WRITE, operation="SetDefaultPaymentMethod")
@proof_required
@require_POST
def set_default_method(request: TeamRequest, method_id: UUID) -> HttpResponse:
    _404_unless_known(request, method_id)
    try:
        method = billing.set_default_method(
            team=request.team, actor=request.actor, method_id=method_id, now=timezone.now()
        )
    except billing.MethodGoneError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"{method} is the default payment method now.")
    return _to_details(request)


@team_view(Permission.BILLING_WRITE, operation="RemovePaymentMethod")
@proof_required
@require_POST
def remove_method(request: TeamRequest, method_id: UUID) -> HttpResponse:
    _404_unless_known(request, method_id)
    try:
        method = billing.remove_method(
            team=request.team, actor=request.actor, method_id=method_id, now=timezone.now()
        )
    except (billing.MethodGoneError, billing.LastMethodError) as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"{method} is removed.")
    return _to_details(request)


def _404_unless_known(request: TeamRequest, method_id: UUID) -> None:
    """Tell a card that was removed in another tab from one that never was the team's."""
    get_object_or_404(PaymentMethod.of(request.team), pk=method_id)


def _to_details(request: TeamRequest) -> HttpResponseRedirect:
    return redirect("billing:details", request.team.pk)
