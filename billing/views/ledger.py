"""The ledger: every movement of a team's money, as a page and as a file."""

from typing import Any, Final
from urllib.parse import urlencode

from django.http import HttpResponse
from django.shortcuts import redirect
from django.template.defaultfilters import pluralize
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.rules import Permission
from accounts.web import Pager, TeamRequest, read_id, render_page, streamed_csv, team_view
from billing import services as billing
from billing.forms import LedgerForm

MOVEMENTS_PER_PAGE: Final = 50


@team_view(Permission.BILLING_READ, operation="ListLedgerEntries")
@require_safe
def ledger(request: TeamRequest) -> HttpResponse:
    """Show every movement with the balance that it left, newest first."""
    form = LedgerForm(request.GET, zone=request.user.zone)
    address = reverse("billing:ledger", args=[request.team.pk])
    context: dict[str, Any] = {"form": form, "zone": request.user.zone.key, "address": address}
    if form.is_valid():
        cut = billing.ledger_page(
            request.team,
            form.wanted,
            size=MOVEMENTS_PER_PAGE,
            older_than=read_id(request.GET.get("older")),
            newer_than=read_id(request.GET.get("newer")),
        )
        context |= {
            "movements": cut.movements,
            "is_narrowed": bool(form.query),
            "query": urlencode(form.query),
            "pager": _pager(cut, address, form.query),
        }
    return render_page(request, "billing/ledger.html", context, partials={"movements"})


@team_view(Permission.BILLING_READ, operation="ExportLedgerEntries")
@require_safe
def ledger_csv(request: TeamRequest) -> HttpResponse:
    """Download what the page shows, and all pages after it."""
    form = LedgerForm(request.GET, zone=request.user.zone)
    if not form.is_valid():  # The page says what is wrong.
        page = reverse("billing:ledger", args=[request.team.pk])
        return redirect(f"{page}?{urlencode(form.query)}")
    parts = billing.ledger_csv(request.team, form.wanted)
    return streamed_csv(parts, f"ledger-{timezone.now():%Y-%m-%d}.csv")


def _pager(cut: billing.LedgerPage, address: str, query: dict[str, str]) -> Pager:
    def beside(side: str, movement: billing.Movement) -> str:
        return f"{address}?{urlencode(query | {side: movement.entry.pk})}"

    count = len(cut.movements)
    return Pager(
        text=f"{count} movement{pluralize(count)}, newest first",
        newer=beside("newer", cut.movements[0]) if cut.has_newer and count else "",
        older=beside("older", cut.movements[-1]) if cut.has_older else "",
    )
