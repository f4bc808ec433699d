"""The lists that filters are chosen from: searched here, as a team can have 10,000 addresses."""

from typing import Any, Final

from django.http import Http404, HttpResponse
from django.views.decorators.http import require_safe

from accounts.rules import Permission
from accounts.web import TeamRequest, render_page, team_view
from api_keys import services as api_keys
from usage import rules, stores
from usage.rules import ITEMS, Field, FilterError, Filters, Group
from usage.rules.filters import LONGEST_VALUE, read, written
from usage.services.naming import names, of_key

MOST_LISTED: Final = 50


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
    context: dict[str, Any] = {"field": field, "words": words}
    status = 200
    try:
        # One more than is listed tells that there are more.
        found = _found(request, field, words)
    except stores.StoreUnavailableError as error:
        context["error"], found, status = str(error), {}, 503
    listed = {value: text for value, text in found.items() if value not in chosen}
    context |= {
        "options": [
            {"value": written(field, value), "text": text, "is_chosen": value in chosen}
            for value, text in (
                _texts(request, field, chosen) | dict(list(listed.items())[:MOST_LISTED])
            ).items()
        ],
        "has_more": len(listed) > MOST_LISTED,
    }
    return render_page(request, "usage/_values.html", context, status=status)


def _found(request: TeamRequest, field: Field, words: str) -> dict[str, str]:
    """Find values, with what people call them."""
    if field is Field.API_KEY:
        return {
            str(key.id): of_key(key).full
            for key in api_keys.search(request.team, words, limit=MOST_LISTED + 1)
        }
    if field.dimension is None:
        labels = {item: rules.label_of(item) for item in ITEMS}
        return {item: label for item, label in labels.items() if words.lower() in label.lower()}
    found = stores.current().values(
        request.team.pk, field.dimension, search=words, limit=MOST_LISTED + 1
    )
    return _texts(request, field, found)


def _texts(request: TeamRequest, field: Field, found: list[str]) -> dict[str, str]:
    named = names(request.team, Group(field.value), found)
    return {value: name.full for value, name in named.items()}
