"""Where Stripe tells what has happened."""

from typing import Final

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from billing import services as billing

LONGEST_BODY: Final = 512 * 1024


@csrf_exempt
@login_not_required
@require_POST
def stripe(request: HttpRequest) -> HttpResponse:
    """Keep what Stripe signed. Sent again, it changes nothing and is answered alike."""
    body = request.read(LONGEST_BODY + 1)
    if len(body) > LONGEST_BODY:
        return JsonResponse({"error": f"An event has at most {LONGEST_BODY:,} bytes."}, status=413)
    signature = request.headers.get("Stripe-Signature", "")
    try:
        billing.receive_event(body=body, signature=signature, now=timezone.now())
    except billing.BadSignatureError:
        return JsonResponse({"error": "The signature is not Stripe's, or is too old."}, status=400)
    return JsonResponse({"received": True})
