"""What a team lets itself be invoiced, and at which parts of that it is told."""

from django.contrib import messages
from django.http import HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_POST

from accounts.proof import proof_required
from accounts.rules import Permission
from accounts.web import TeamRequest, team_view
from billing import services as billing
from billing.forms import AlertsForm, SpendingLimitForm
from billing.views.credits import render_credits, to_credits


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
            return to_credits(request)
    return render_credits(request, limit_form=form)


@team_view(Permission.BILLING_WRITE, operation="SetLimitAlerts")
@require_POST
def alerts(request: TeamRequest) -> HttpResponse:
    form = AlertsForm(request.POST, percents=())
    if form.is_valid():
        try:
            billing.set_alert_percents(
                team=request.team,
                actor=request.actor,
                percents=form.cleaned_data["percents"],
                now=timezone.now(),
            )
        except billing.AlertPercentsError as error:
            form.add_error("percents", str(error))
        else:
            messages.success(request, "Alerts changed.")
            return to_credits(request)
    return render_credits(request, alerts_form=form)
