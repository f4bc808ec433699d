"""What the shell around every page needs: the site's names, the person's teams, the way around."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from accounts import services as accounts
from accounts.models import Membership, Team, User
from accounts.rules import Permission
from accounts.web import is_locked_out
from billing import services as billing


@dataclass(frozen=True, slots=True)
class NavEntry:
    """One page of the sidebar. A member without the permission does not see it."""

    label: str
    icon: str
    url_name: str
    permission: Permission
    group: str = ""

    def is_current(self, view_name: str) -> bool:
        """Say whether a view is this page, belongs to it by name, or else by its app."""
        if view_name == self.url_name or view_name.startswith(f"{self.url_name}_"):
            return True
        namespace, colon, _ = self.url_name.partition(":")
        alone = sum(entry.url_name.startswith(f"{namespace}:") for entry in NAV) == 1
        return bool(colon) and alone and view_name.startswith(f"{namespace}:")


NAV: Final = (
    NavEntry("Home", "home", "home", Permission.TEAM_READ),
    NavEntry("API keys", "key", "api_keys:list", Permission.API_KEYS_READ, "Build"),
    NavEntry("Models", "models", "gateway:models", Permission.TEAM_READ, "Build"),
    NavEntry("Rate limits", "limits", "gateway:rate_limits", Permission.TEAM_READ, "Build"),
    NavEntry("Usage", "usage", "usage:explorer", Permission.USAGE_READ, "Watch"),
    NavEntry("Audit log", "audit", "audit:log", Permission.AUDIT_READ, "Watch"),
    NavEntry("Billing", "billing", "billing:credits", Permission.BILLING_READ, "Team"),
    NavEntry("Members", "members", "accounts_team:members", Permission.TEAM_READ, "Team"),
    NavEntry("Settings", "settings", "accounts_team:settings", Permission.TEAM_READ, "Team"),
)


@dataclass(frozen=True, slots=True)
class NavLink:
    """A page of the sidebar as one person sees it in one team."""

    label: str
    icon: str
    url: str
    is_current: bool


@dataclass(frozen=True, slots=True)
class NavGroup:
    """Links under one heading, or under none."""

    label: str
    links: list[NavLink]


class Shell:
    """The frame of a page. Nothing is asked of the database until a template shows it."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    @cached_property
    def memberships(self) -> list[Membership]:
        user = getattr(self._request, "user", None)
        return accounts.teams_of(user) if isinstance(user, User) else []

    @cached_property
    def membership(self) -> Membership | None:
        """The person's standing in the page's team, or in the one they were in last."""
        team_id = getattr(getattr(self._request, "team", None), "pk", None)
        if team_id is None and self.memberships:
            team_id = self.memberships[0].user.last_team_id
        chosen = (m for m in self.memberships if m.team_id == team_id)
        return next(chosen, self.memberships[0] if self.memberships else None)

    @property
    def team(self) -> Team | None:
        return self.membership.team if self.membership else None

    @cached_property
    def is_locked_out(self) -> bool:
        """Whether the team has to be closed to the person, for want of a second factor."""
        return self.membership is not None and is_locked_out(self.membership)

    @cached_property
    def nav(self) -> list[NavGroup]:
        if self.membership is None or self.is_locked_out:
            return []
        permitted = [entry for entry in NAV if entry.permission in self.membership.permissions]
        return [
            NavGroup(label, list(self._links(entries, self.membership.team)))
            for label, entries in groupby(permitted, key=lambda entry: entry.group)
        ]

    def _links(self, entries: Iterable[NavEntry], team: Team) -> Iterable[NavLink]:
        match = self._request.resolver_match
        view_name = match.view_name if match else ""
        for entry in entries:
            url = reverse(entry.url_name, args=[team.pk])
            yield NavLink(entry.label, entry.icon, url, entry.is_current(view_name))

    @cached_property
    def available_ticks(self) -> int | None:
        """What the team can still spend; None for who may not see it."""
        if self.membership is None or self.is_locked_out:
            return None
        if Permission.BILLING_READ not in self.membership.permissions:
            return None
        return billing.balance(self.membership.team, now=timezone.now()).available_ticks


def shell(request: HttpRequest) -> dict[str, Any]:
    return {
        "shell": Shell(request),
        # Not "site": allauth gives its pages one of that name, made of the Host header.
        "console": {
            "name": settings.CONSOLE_NAME,
            "support_email": settings.SUPPORT_EMAIL,
            "terms_url": settings.TERMS_URL,
            "privacy_url": settings.PRIVACY_URL,
        },
    }
