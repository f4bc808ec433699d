"""Having a month invoiced before its end, for a team that is about to end."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from accounts.proof import proof_required
from accounts.rules import Permission
from accounts.web import TeamRequest, team_view
from billing import services as billing


@team_view(Permission.BILLING_WRITE, operation="CloseMonthEarly")
@proof_required
@require_POST
def invoice_now(request: TeamRequest) -> HttpResponse:
    """Invoice all that was used so far. The job charges the default method, or a person pays."""
    issued = billing.close_now(team=request.team, actor=request.actor, now=timezone.now())
    if not issued:
        messages.info(
            request, "There is nothing to invoice. The spending limit is $0.00 from now on."
        )
        return redirect("billing:invoices", request.team.pk)
    messages.success(
        request,
        "Invoiced. The default payment method is charged within minutes, or pay it now. The "
        "spending limit is $0.00 from now on.",
    )
    return redirect("billing:invoice", request.team.pk, issued[-1].pk)
