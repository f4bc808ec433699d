"""Having credits bought when they run low."""

from django.contrib import messages
from django.http import HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_POST

from accounts.proof import proof_required
from accounts.rules import Permission
from accounts.web import TeamRequest, team_view
from billing import services as billing
from billing.forms import TopUpForm
from billing.views.credits import render_credits, to_credits


@team_view(Permission.BILLING_WRITE, operation="SetTopUp")
@proof_required
@require_POST
def top_up(request: TeamRequest) -> HttpResponse:
    """Switch the rule on with what was typed: from now on money moves without anybody there."""
    form = TopUpForm(request.POST, top_up=None)
    if form.is_valid():
        try:
            billing.set_top_up(
                team=request.team, actor=request.actor, terms=form.terms, now=timezone.now()
            )
        except billing.TopUpRuleError as error:
            form.add_error(error.field, str(error))
        else:
            messages.success(request, "Auto top-up is on.")
            return to_credits(request)
    return render_credits(request, top_up_form=form)


@team_view(Permission.BILLING_WRITE, operation="SwitchOffTopUp")
@require_POST
def top_up_off(request: TeamRequest) -> HttpResponse:
    billing.switch_off_top_up(team=request.team, actor=request.actor, now=timezone.now())
    messages.success(request, "Auto top-up is off.")
    return to_credits(request)
