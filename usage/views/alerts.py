"""The alerts of a team: listed, set, changed and deleted."""

from typing import Any, Final
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from accounts.rules import Permission
from accounts.web import TeamRequest, render_page, team_view
from api_keys import services as api_keys
from usage import services as usage
from usage.forms import AlertForm
from usage.models import UsageAlert
from usage.rules import Dimension
from usage.stores import current

# So many keys and models are offered to choose from; the name of any other can be typed.
OFFERED: Final = 200


@team_view(Permission.USAGE_READ, operation="ListUsageAlerts")
@require_safe
def alerts(request: TeamRequest) -> HttpResponse:
    return _page(request)


@team_view(Permission.USAGE_WRITE, operation="CreateUsageAlert")
@require_POST
def create_alert(request: TeamRequest) -> HttpResponse:
    form = AlertForm(request.POST, keys=api_keys.named_keys(request.team))
    if form.is_valid():
        try:
            usage.create_alert(
                team=request.team,
                actor=request.actor,
                owner=request.user,
                terms=form.terms,
                alert_id=form.alert_id,
                now=timezone.now(),
            )
        except usage.AlertTermsError as error:
            form.add_error(error.field, str(error))
        except usage.TooManyAlertsError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, "Alert set.")
            return redirect("usage:alerts", request.team.pk)
    return _page(request, create_form=form)


@team_view(Permission.USAGE_WRITE, operation="UpdateUsageAlert")
@require_POST
def edit_alert(request: TeamRequest, alert_id: UUID) -> HttpResponse:
    alert = _found(request, alert_id)
    form = AlertForm(request.POST, keys=api_keys.named_keys(request.team), alert=alert)
    if form.is_valid():
        try:
            usage.edit_alert(
                team=request.team,
                actor=request.actor,
                alert_id=alert_id,
                terms=form.terms,
                seen_at=form.was_seen_at,
                now=timezone.now(),
            )
        except usage.AlertTermsError as error:
            form.add_error(error.field, str(error))
        except usage.AlertChangedError as error:
            form.add_error(None, str(error))
        except usage.NoAlertError as error:
            raise Http404 from error
        else:
            messages.success(request, "Alert changed.")
            return redirect("usage:alerts", request.team.pk)
    return _page(request, edit_form=form)


@team_view(Permission.USAGE_WRITE, operation="DeleteUsageAlert")
@require_POST
def delete_alert(request: TeamRequest, alert_id: UUID) -> HttpResponse:
    try:
        usage.delete_alert(
            team=request.team, actor=request.actor, alert_id=alert_id, now=timezone.now()
        )
    except usage.NoAlertError as error:
        raise Http404 from error
    messages.success(request, "Alert deleted.")
    return redirect("usage:alerts", request.team.pk)


def _page(
    request: TeamRequest,
    *,
    create_form: AlertForm | None = None,
    edit_form: AlertForm | None = None,
) -> HttpResponse:
    shown = usage.alerts(request.team)
    context: dict[str, Any] = {"alerts": shown, "zone": request.user.zone.key}
    if Permission.USAGE_WRITE in request.membership.permissions:
        keys = api_keys.named_keys(request.team)
        living = [key for key in keys.values() if not key.is_deleted]
        names = [key.name for key in living]
        asked = {name: request.GET[name] for name in ("key", "model") if name in request.GET}
        if asked:
            asked["watched"] = "api_key" if "key" in asked else "model"
        context |= {
            "may_change": True,
            "create_form": create_form or AlertForm(keys=keys, initial=asked),
            "edit_form": edit_form,
            "offered_keys": [
                (key.name if names.count(key.name) == 1 else str(key.id), key.name)
                for key in living[:OFFERED]
            ],
            "offered_models": current().values(request.team.pk, Dimension.MODEL, limit=OFFERED),
        }
        dialog, chosen = request.GET.get("dialog"), _chosen(request, shown)
        if chosen and dialog == "edit" and edit_form is None:
            context["edit_form"] = AlertForm(keys=keys, alert=chosen.alert)
        elif chosen and dialog == "delete":
            context["deleting"] = chosen
    return render_page(request, "usage/alerts.html", context, partials={"alerts"})


def _chosen(request: TeamRequest, shown: list[usage.ShownAlert]) -> usage.ShownAlert | None:
    asked = request.GET.get("alert", "")
    return next((one for one in shown if str(one.alert.pk) == asked), None)


def _found(request: TeamRequest, alert_id: UUID) -> UsageAlert:
    found = UsageAlert.of(request.team).filter(pk=alert_id).first()
    if found is None:
        raise Http404
    return found
