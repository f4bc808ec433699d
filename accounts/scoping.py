"""The tenant boundary, in one file.

A model that inherits `TeamOwned` has no `.objects`. Its rows are reached through
`Model.of(team)`, so forgetting the team is an AttributeError rather than a leak.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from django.db import models

if TYPE_CHECKING:
    from accounts.models import Team

Q = TypeVar("Q", bound=models.QuerySet[Any])


class TeamDoor(Generic[Q]):
    """The class attribute behind `Model.of(team)`: a queryset already inside one team."""

    def __init__(self, queryset_class: type[Q] = models.QuerySet) -> None:  # type: ignore[assignment]
        self._queryset_class = queryset_class

    def __get__(self, instance: object, owner: type[models.Model]) -> "Callable[[Team], Q]":
        return lambda team: self._queryset_class(owner).filter(team=team)


class TeamOwned(models.Model):
    """A row that belongs to exactly one team for its whole life."""

    # No reverse name: `team.ledger_entries` would be a way round the owning app's services.
    team = models.ForeignKey("accounts.Team", on_delete=models.PROTECT, related_name="+")

    # Django's default manager, under a name that has to be said aloud to be misused.
    across_teams = models.Manager()

    class Meta:
        abstract = True
