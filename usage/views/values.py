"""The lists that filters are chosen from, as they are searched."""

from django.http import Http404, HttpResponse
from django.views.decorators.http import require_safe

from accounts.rules import Permission
from accounts.web import TeamRequest, render_page, team_view
from usage.rules import Field, FilterError, Filters
from usage.rules.filters import LONGEST_VALUE, read
from usage.views.options import options


@team_view(Permission.USAGE_READ, operation="ListUsageValues")
@require_safe
def values(request: TeamRequest) -> HttpResponse:
    """List values of the field that is asked for: those chosen in the form, then those found."""
    asked = request.GET.get("field", Field.API_KEY)
    if asked not in list(Field):
        raise Http404
    field = Field(asked)
    words = request.GET.get(f"search_{field}", "").strip()[:LONGEST_VALUE].replace("\x00", "")
    try:
        filters = read(request.GET)
    except FilterError:
        filters = Filters()  # Whoever applies them is told.
    chosen = [
        value for choice in filters.choices if choice.field is field for value in choice.values
    ]
    found = options(request.team, field, chosen, words=words)
    context = {"field": field, "words": words} | found
    return render_page(
        request, "usage/_values.html", context, status=503 if "error" in found else 200
    )
