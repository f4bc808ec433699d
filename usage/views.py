"""The usage page: what the team's requests cost, day by day."""

from typing import Any, Final

from django.http import HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.rules import Permission
from accounts.web import TeamRequest, render_page, team_view
from usage import rules
from usage import services as usage
from usage.forms import RangeForm

# Shown also where none of them was used, so that a table looks the same from one range to the next.
ALWAYS_SHOWN: Final = ("prompt_text", "cached_prompt_text", "completion", "reasoning")


@team_view(Permission.USAGE_READ, operation="GetUsage")
@require_safe
def explorer(request: TeamRequest) -> HttpResponse:
    """Show cost, requests and tokens of each day of a range, in the person's own time zone."""
    zone = request.user.zone
    form = RangeForm(request.GET, zone=zone, now=timezone.now())
    context: dict[str, Any] = {"form": form, "presets": list(rules.Preset), "zone": zone.key}
    if form.is_valid():
        days = usage.daily(
            request.team, first=form.range.first, last=form.range.last, zone=form.zone
        )
        context |= {"range_label": form.range.label, **_report(days)}
        # Only a range without requests can be the whole of an unused team.
        context["is_unused"] = not context["total"].requests and not usage.has_any(request.team)
    return render_page(request, "usage/explorer.html", context, partials={"usage"})


def _report(days: list[usage.DayTotal]) -> dict[str, Any]:
    total = usage.total(days)
    items = rules.in_order({*ALWAYS_SHOWN, *total.items})
    return {
        "total": total,
        "tokens_in_words": rules.in_words(total.tokens),
        "tokens_exactly": f"{total.tokens:,}" if total.tokens >= rules.MILLION else "of all types",
        "per_day_ticks": total.cost_ticks // len(days),
        "per_request_ticks": total.cost_ticks // (total.requests or 1),
        "tokens_per_request": total.tokens // (total.requests or 1),
        "figure": usage.cost_figure(days),
        "columns": [rules.label_of(item) for item in items],
        "rows": [(day, _quantities(day, items)) for day in reversed(days)],
        "total_quantities": _quantities(total, items),
    }


def _quantities(total: usage.Total, items: list[str]) -> list[int]:
    return [total.items.get(item, rules.Used()).quantity for item in items]
