"""Asking support for higher limits: written down once, mailed, and told while it is open."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlencode
from uuid import UUID

from allauth.account.adapter import get_adapter
from django.conf import settings
from django.db import transaction
from django.urls import reverse

from accounts import services as accounts
from accounts.actors import Actor
from accounts.models import Team
from audit import services as audit
from billing import services as billing
from gateway.models import InferenceModel, LimitRequest, TeamLimit
from gateway.rates import Limits, limits_of
from gateway.services.price_list import Listing

OPERATION: Final = "RequestLimitIncrease"
# How many a team may send in 24 hours: each is a mail that a person reads.
MOST_A_DAY: Final = 10
# And one person for all of their teams, of which anybody may make as many as they like.
MOST_A_DAY_EACH: Final = 20
# How long a page still says that somebody has asked.
REMEMBERED_FOR: Final = timedelta(days=30)


class TooManyIncreasesError(Exception):
    """A team, or a person, asks for more than support can answer."""

    def __init__(self, who: str, most: int) -> None:
        super().__init__(
            f"{who} asked for {most} increases within a day. Write to {settings.SUPPORT_EMAIL} "
            "about more of them."
        )


class ModelGoneError(Exception):
    """The model was taken off the price list meanwhile."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is not on the price list any more.")


class NotHigherError(Exception):
    """What is asked for is what the team has already. `field` is the limit that it is about."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


@transaction.atomic
def request_increase(
    *,
    team: Team,
    actor: Actor,
    model_name: str,
    wanted: Limits,
    reason: str,
    idempotency_key: UUID,
    now: datetime,
) -> None:
    """Ask support for higher limits of one model, once per key.

    Raises ModelGoneError, NotHigherError and TooManyIncreasesError; nobody is mailed then.
    """
    team = accounts.lock_team(team)
    asked = LimitRequest.of(team)
    if asked.filter(idempotency_key=idempotency_key).exists():
        return
    model = InferenceModel.objects.filter(name=model_name, is_enabled=True).first()
    if model is None:
        raise ModelGoneError(model_name)
    standing = billing.tier(team)
    agreed = TeamLimit.of(team).filter(model=model).first()
    limits = limits_of(model, standing.tier, agreed)
    _require_higher(model, limits, wanted)
    _require_few(team, actor, now)
    made = LimitRequest.across_teams.create(
        team=team,
        model=model,
        requests_per_second=wanted.requests_per_second,
        tokens_per_minute=wanted.tokens_per_minute,
        asked_at=now,
        idempotency_key=idempotency_key,
    )
    audit.record(
        team=team,
        actor=actor,
        operation=OPERATION,
        description=f"Asked support for higher limits of {model}",
        target_type="inference model",
        target_id=str(model.pk),
        target_label=model.name,
        before=_facts(limits, wanted),
        after=_facts(wanted, wanted),
        is_change=False,  # Support will make one.
        now=now,
    )
    get_adapter().send_mail(
        "gateway/email/limit_request",
        settings.SUPPORT_EMAIL,
        {
            "team": team,
            "actor": actor,
            "limit_request": made,
            "reason": reason,
            "limits": limits,
            "standing": standing,
            "grant_url": _address_of_form(made, agreed),
        },
    )


def _require_few(team: Team, actor: Actor, now: datetime) -> None:
    yesterday = now - timedelta(days=1)
    if LimitRequest.of(team).filter(asked_at__gt=yesterday).count() >= MOST_A_DAY:
        raise TooManyIncreasesError("Your team has", MOST_A_DAY)
    if actor.user and audit.count_of(actor.user, OPERATION, since=yesterday) >= MOST_A_DAY_EACH:
        raise TooManyIncreasesError("You have", MOST_A_DAY_EACH)


def _require_higher(model: InferenceModel, limits: Limits, wanted: Limits) -> None:
    for field in ("requests_per_second", "tokens_per_minute"):
        number, limit = getattr(wanted, field), getattr(limits, field)
        if number is None:
            continue
        noun = field.replace("_", " ")
        if limit is None:
            raise NotHigherError(field, f"{model} has no limit of {noun} for your team.")
        if number <= limit:
            raise NotHigherError(field, f"Your team's limit is {limit:,} {noun} already.")


def _facts(limits: Limits, wanted: Limits) -> dict[str, int | None]:
    """Name the limits that somebody wants to have changed."""
    return {
        field: getattr(limits, field)
        for field in ("requests_per_second", "tokens_per_minute")
        if getattr(wanted, field) is not None
    }


def _address_of_form(made: LimitRequest, agreed: TeamLimit | None) -> str:
    """Say where staff grant it: on the form of what was agreed before, or on a new one, filled."""
    if agreed:
        return settings.PUBLIC_URL + reverse("admin:gateway_teamlimit_change", args=[agreed.pk])
    numbers = {
        "requests_per_second": made.requests_per_second,
        "tokens_per_minute": made.tokens_per_minute,
    }
    filled = {"team": made.team_id, "model": made.model_id} | {
        k: v for k, v in numbers.items() if v
    }
    return f"{settings.PUBLIC_URL}{reverse('admin:gateway_teamlimit_add')}?{urlencode(filled)}"


def waiting_increases(
    team: Team, listed: Iterable[Listing], *, now: datetime
) -> dict[UUID, LimitRequest]:
    """Say by model what the team asked for lately and does not have yet, the latest of each."""
    limits = {listing.model.pk: listing.limits for listing in listed}
    recent = LimitRequest.of(team).filter(asked_at__gt=now - REMEMBERED_FOR, model__in=limits)
    latest = {asked.model_id: asked for asked in recent.order_by("asked_at", "pk")}
    return {pk: asked for pk, asked in latest.items() if _is_missing(asked, limits[pk])}


def _is_missing(asked: LimitRequest, limits: Limits) -> bool:
    pairs = (
        (asked.requests_per_second, limits.requests_per_second),
        (asked.tokens_per_minute, limits.tokens_per_minute),
    )
    return any(wanted and limit and wanted > limit for wanted, limit in pairs)
