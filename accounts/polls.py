"""Parts of an open page that ask again and again how things are: by whom, and for how long."""

from datetime import timedelta
from typing import Final

from django.core import signing

from accounts.web import TeamRequest

# htmx asks no more after this status.
STOP_POLLING: Final = 286


def ticket(request: TeamRequest, page: str) -> str:
    """Write down that this person opened this page now: the audit log tells of that once."""
    return signing.dumps(_who(request), salt=page)


def is_open(request: TeamRequest, page: str, *, kept_up_for: timedelta) -> bool:
    """Say whether the request's ticket is of this person, and of a page that was opened lately."""
    try:
        who = signing.loads(request.GET.get("ticket", ""), salt=page, max_age=kept_up_for)
    except signing.BadSignature:
        return False
    return bool(who == _who(request))


def _who(request: TeamRequest) -> list[str]:
    return [str(request.team.pk), str(request.user.pk)]
