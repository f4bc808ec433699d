"""The page of billing details: who invoices are made out to, and what pays them."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from accounts.proof import proof_required
from accounts.rules import Permission
from accounts.web import TeamRequest, render_page, team_view
from billing import services as billing
from billing.forms import DetailsForm
from billing.models import PaymentMethod


@team_view(Permission.BILLING_READ, operation="GetBillingDetails")
@require_safe
def details_page(request: TeamRequest) -> HttpResponse:
    return _details_page(request)


@team_view(Permission.BILLING_WRITE, operation="SetBillingDetails")
@proof_required
@require_POST
def save_details(request: TeamRequest) -> HttpResponse:
    posted = request.POST.copy()
    form = DetailsForm(posted, saved=None)
    if not form.is_valid():
        return _details_page(request, form=form)
    try:
        billing.save_details(
            team=request.team,
            actor=request.actor,
            details=form.details,
            seen_at=form.seen_at,
            now=timezone.now(),
        )
    except billing.TaxNumberError as error:
        form.add_error("tax_number", str(error))
    except billing.DetailsChangedError as error:
        form.add_error(None, str(error))
        # Shown what is saved now: whoever then saves again knows what they overwrite.
        if saved := billing.details(request.team):
            posted["seen"] = saved.version
        return _details_page(request, form=form, is_outdated=True)
    else:
        messages.success(request, "Billing details saved. The next invoice has them.")
        return redirect("billing:details", request.team.pk)
    return _details_page(request, form=form)


def _details_page(
    request: TeamRequest, *, form: DetailsForm | None = None, is_outdated: bool = False
) -> HttpResponse:
    saved = billing.details(request.team)
    name = request.user.name if request.team.is_personal else request.team.name
    methods = billing.methods_on_file(request.team)
    removing = _removing(request, methods)
    context = {
        "methods": methods,
        "removing": removing,
        "heir": removing and billing.heir(removing, methods),
        "details": saved,
        "is_outdated": is_outdated,
        "may_write": Permission.BILLING_WRITE in request.membership.permissions,
        "form": form
        or DetailsForm(saved=saved, initial={"name": name, "email": request.user.email}),
    }
    return render_page(request, "billing/details.html", context)


def _removing(request: TeamRequest, methods: list[PaymentMethod]) -> PaymentMethod | None:
    """Find the method that the page is to ask about: the last one on file cannot be removed."""
    if len(methods) == 1 or request.GET.get("dialog") != "remove":
        return None
    return next((each for each in methods if str(each.pk) == request.GET.get("method")), None)
