"""The gateway's pages: the price list, and the limits within which a team may ask."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts import polls
from accounts.rules import Permission
from accounts.web import TeamRequest, render_page, team_view
from billing import services as billing
from billing.services import BillingItem
from gateway import services as gateway
from gateway.forms import IncreaseForm
from gateway.models import LimitRequest
from gateway.rates import Limits

# How long an opened page keeps its numbers up to date by itself.
KEPT_UP_FOR: Final = timedelta(minutes=10)
_POLLED: Final = "gateway.views.rate_limits_use"
# The heads of the columns with prices, in the order of `Listing.prices`.
PRICED: Final = {
    BillingItem.PROMPT_TEXT: "Prompt",
    BillingItem.CACHED_PROMPT_TEXT: "Cached",
    BillingItem.PROMPT_IMAGE: "Image",
    BillingItem.COMPLETION: "Completion",
    BillingItem.REASONING: "Reasoning",
}


# --- The price list ---------------------------------------------------------------------------


@team_view(Permission.TEAM_READ, operation="ListModels")
@require_safe
def models(request: TeamRequest) -> HttpResponse:
    """Show what can be asked for, at what price, on all clusters or on one."""
    listed = gateway.price_list(request.team, tier=billing.tier(request.team).tier)
    clusters = sorted({cluster for listing in listed for cluster in listing.clusters})
    chosen = request.GET.get("cluster", "")
    if chosen and chosen not in clusters:
        raise Http404(f"No cluster is called {chosen!r}.")
    context = {
        "listed": [item for item in listed if not chosen or chosen in item.clusters],
        "clusters": clusters,
        "chosen": chosen,
        "columns": [PRICED[item] for item in BillingItem],
    }
    return render_page(request, "gateway/models.html", context)


# --- Rate limits ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Row:
    """One model of the page: its limits, how much of them is in use, and what was asked for."""

    listing: gateway.Listing
    use: gateway.Use
    asked: LimitRequest | None

    @property
    def tokens(self) -> int:
        """What counts towards the limit: used within the last minute, or still to be used."""
        return self.use.tokens + self.use.tokens_in_flight


@team_view(Permission.TEAM_READ, operation="GetRateLimits")
@require_safe
def rate_limits(request: TeamRequest) -> HttpResponse:
    return _rate_limits_page(request)


@team_view(Permission.TEAM_READ, operation="GetRateLimits", is_poll=True)
@require_safe
@never_cache
def rate_limits_use(request: TeamRequest) -> HttpResponse:
    """Bring the numbers of a page that was opened lately up to date; tell an older one to stop."""
    if not request.htmx:
        return redirect("gateway:rate_limits", request.team.pk)
    ticket, now = request.GET.get("ticket", ""), timezone.now()
    if not polls.is_open(request, _POLLED, kept_up_for=KEPT_UP_FOR):
        answer = render(request, "gateway/rate_limits.html#stopped")
        answer.status_code = polls.STOP_POLLING
        answer["HX-Retarget"], answer["HX-Reswap"] = "#as-of", "beforeend"
        return answer
    standing = billing.tier(request.team)
    context = _use(request, standing, now) | {"ticket": ticket}
    return render(request, "gateway/rate_limits.html#use", context)


@team_view(Permission.TEAM_WRITE, operation="RequestLimitIncrease")
@require_POST
def rate_limits_increase(request: TeamRequest) -> HttpResponse:
    """Ask support for more."""
    form = IncreaseForm(request.POST, models=gateway.catalog())
    if form.is_valid():
        data = form.cleaned_data
        try:
            gateway.request_increase(
                team=request.team,
                actor=request.actor,
                model_name=data["model"],
                wanted=Limits(
                    requests_per_second=data["requests_per_second"],
                    tokens_per_minute=data["tokens_per_minute"],
                ),
                reason=data["reason"],
                idempotency_key=form.key,
                now=timezone.now(),
            )
        except gateway.NotHigherError as error:
            form.add_error(error.field, str(error))
        except (gateway.ModelGoneError, gateway.TooManyIncreasesError) as error:
            form.add_error(None, str(error))
        else:
            messages.success(
                request, f"Support was asked for more of {data['model']} and answers by mail."
            )
            return redirect("gateway:rate_limits", request.team.pk)
    return _rate_limits_page(request, form=form)


def _rate_limits_page(request: TeamRequest, *, form: IncreaseForm | None = None) -> HttpResponse:
    standing = billing.tier(request.team)
    context = _use(request, standing, timezone.now())
    permissions = request.membership.permissions
    context |= {
        "sees_money": Permission.BILLING_READ in permissions,
        "may_buy": Permission.BILLING_WRITE in permissions,
        "ticket": polls.ticket(request, _POLLED),
    }
    if Permission.TEAM_WRITE in permissions:
        names = [row.listing.model.name for row in context["rows"]]
        context["form"] = form or IncreaseForm(models=names)
    return render_page(request, "gateway/rate_limits.html", context)


def _use(request: TeamRequest, standing: billing.TierStanding, now: datetime) -> dict[str, Any]:
    """Say how much of each limit is in use at this moment."""
    listed = gateway.price_list(request.team, tier=standing.tier)
    used = gateway.use_of(request.team, now=now)
    asked = gateway.waiting_increases(request.team, listed, now=now)
    rows = [
        Row(item, used.get(item.model.name, gateway.Use()), asked.get(item.model.pk))
        for item in listed
    ]
    return {"rows": rows, "standing": standing, "now": now}
