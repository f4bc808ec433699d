"""Bank transfers that are awaited."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.http import require_POST

from accounts.rules import Permission
from accounts.web import TeamRequest, team_view
from billing import services as billing
from billing.models import Purchase
from billing.views.credits import to_checkout, to_credits


@team_view(Permission.BILLING_WRITE, operation="CancelTransfer")
@require_POST
def cancel_transfer(request: TeamRequest, purchase_id: UUID) -> HttpResponse:
    """End a transfer that will not be made."""
    transfers = Purchase.of(request.team).filter(kind=Purchase.Kind.TRANSFER)
    purchase = get_object_or_404(transfers.select_related("team"), pk=purchase_id)
    try:
        billing.cancel_transfer(purchase=purchase, actor=request.actor, now=timezone.now())
    except billing.TransferError as error:
        messages.error(request, str(error))
        return to_checkout(purchase)
    messages.success(request, f"The bank transfer {purchase.transfer_reference} is withdrawn.")
    return to_credits(request)
