"""Limits that support agrees on with one team, in place of those of its tier."""

from datetime import datetime
from typing import Final

from django.db import transaction
from django.forms.models import model_to_dict

from accounts import services as accounts
from accounts.actors import Actor
from accounts.models import Team
from audit import services as audit
from gateway.models import InferenceModel, TeamLimit

AGREED: Final = ("requests_per_second", "tokens_per_minute")


@transaction.atomic
def agree(
    *,
    team: Team,
    actor: Actor,
    model_name: str,
    requests_per_second: int | None,
    tokens_per_minute: int | None,
    now: datetime,
) -> TeamLimit:
    """Give a team limits of its own on one model; None leaves what its tier has.

    The team's next request feels it. Raises InferenceModel.DoesNotExist.
    """
    team = accounts.lock_team(team)
    model = InferenceModel.objects.get(name=model_name)
    limit = TeamLimit.of(team).filter(model=model).first() or TeamLimit(team=team, model=model)
    before = model_to_dict(limit, AGREED) if limit.pk else None
    limit.requests_per_second = requests_per_second
    limit.tokens_per_minute = tokens_per_minute
    after = model_to_dict(limit, AGREED)
    if after == before:
        return limit
    limit.save()
    audit.record(
        team=team,
        actor=actor,
        operation="AgreeOnLimits",
        description=f"Agreed on limits of {model} for {team.name}",
        target_type="inference model",
        target_id=str(model.pk),
        target_label=model.name,
        before=before,
        after=after,
        now=now,
    )
    return limit
