"""Answers to what people ask, for everyone: who cannot sign in needs them most."""

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from accounts import services as accounts
from accounts.web import render_page
from api_keys import services as api_keys
from billing.services import MOST_TOP_UPS_A_DAY, offers_top_up, offers_transfers


@login_not_required
@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """List the questions that have an answer."""
    return render_page(request, "help/index.html", _offered())


@login_not_required
@require_safe
def account(request: HttpRequest) -> HttpResponse:
    """Answer questions about accounts."""
    context = {"grace_days": accounts.GRACE.days, "undo_days": accounts.UNDO_DAYS}
    return render_page(request, "help/accounts.html", context)


@login_not_required
@require_safe
def keys(request: HttpRequest) -> HttpResponse:
    """Answer questions about API keys."""
    context = {
        "prefix": settings.API_KEY_PREFIX,
        "reminder_days": api_keys.REMIND_BEFORE.days,
    }
    return render_page(request, "help/api_keys.html", context)


@login_not_required
@require_safe
def billing(request: HttpRequest) -> HttpResponse:
    """Answer questions about credits and invoices."""
    context = {**_offered(), "most_top_ups": MOST_TOP_UPS_A_DAY}
    return render_page(request, "help/billing.html", context)


def _offered() -> dict[str, bool]:
    """Say which ways to pay there are here, so that no answer is about one that there is not."""
    return {"offers_transfers": offers_transfers(), "offers_top_up": offers_top_up()}
