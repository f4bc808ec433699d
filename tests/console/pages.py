"""Every page of the console, as its addresses name them."""

import re
from collections.abc import Iterator
from typing import NamedTuple
from uuid import uuid4

from django.http import HttpResponse
from django.test import Client
from django.urls import URLResolver, get_resolver

from accounts.models import Team
from accounts.rules import Permission

# Only staff may open what is below.
STAFF = "/admin/"


class Page(NamedTuple):
    """One address of the console."""

    route: str
    name: str
    permission: Permission | None

    def path(self, team: Team | None = None) -> str:
        path = self.route.replace("<team_id>", str(team.pk if team else uuid4()))
        path = re.sub(r"<(pk|session_id|retired_id)>", "7", path)
        # A UUID fits into every other place, and nothing has it.
        return re.sub(r"<\w+>", str(uuid4()), path)


def pages(resolver: URLResolver, prefix: str = "/", namespace: str = "") -> Iterator[Page]:
    for pattern in resolver.url_patterns:
        route = prefix + readable(str(pattern.pattern))
        if isinstance(pattern, URLResolver):
            inner = f"{pattern.namespace}:" if pattern.namespace else namespace
            yield from pages(pattern, route, inner)
        else:
            permission = vars(pattern.callback).get("permission")
            yield Page(route, f"{namespace}{pattern.name}", permission)


def readable(pattern: str) -> str:
    """Write converters and regular expressions alike: <name>."""
    pattern = re.sub(r"\(\?P<(\w+)>[^)]*\)", r"<\1>", pattern.lstrip("^").rstrip("$"))
    return re.sub(r"<\w+:(\w+)>", r"<\1>", pattern)


PAGES = sorted(pages(get_resolver()))
OF_TEAMS = [page for page in PAGES if page.route.startswith("/team/<team_id>/")]
OF_STAFF = [page for page in PAGES if page.route.startswith(STAFF)]
OTHERS = [page for page in PAGES if page not in OF_TEAMS and page not in OF_STAFF]


def ask(client: Client, path: str) -> HttpResponse:
    """Open the page, by POST if it only takes that."""
    answer = client.get(path)
    return client.post(path) if answer.status_code == 405 else answer  # type: ignore[return-value]
