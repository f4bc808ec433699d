"""Locks on teams and people, and the one order in which everybody takes them.

1. Teams, by id. 2. The person. 3. Whatever else there is: keys, accounts of billing, purchases.
Nobody who holds a later one may ask for an earlier one, so that no two wait for each other. All
but the first may be left out. A team made in the same transaction needs no lock: nobody else can
see it yet.
"""

from uuid import UUID

from django.db import transaction

from accounts.models import Team, User


class TeamClosedError(Exception):
    """Someone changes a team that was deleted meanwhile: for pages, one that is not there."""

    def __init__(self, team: Team) -> None:
        super().__init__(f"The team {team.name} was deleted.")


def lock_team(team: Team) -> Team:
    """Lock the team's row until the transaction ends, and read it anew.

    Whatever changes who is in a team, or must not happen while it closes, begins with this. Rows
    that merely name the team can be written meanwhile.

    Raises TeamClosedError.
    """
    locked = Team.objects.select_for_update(no_key=True).get(pk=team.pk)
    if locked.closed_at:
        raise TeamClosedError(locked)
    return locked


def lock_person(pk: UUID) -> User:
    """Lock the person's row, and read it anew: how many teams they are in stays as it is."""
    return User.objects.select_for_update(no_key=True).get(pk=pk)


def lock_person_in_teams(pk: UUID) -> User:
    """Lock every team of the person, and then the person: nobody changes place there meanwhile."""
    teams = Team.objects.filter(memberships__user=pk).order_by("pk")
    while True:
        start = transaction.savepoint()
        locked = set(
            teams.select_for_update(of=("self",), no_key=True).values_list("pk", flat=True)
        )
        person = lock_person(pk)
        # While their row was waited for, they may have come into one more.
        if locked.issuperset(teams.values_list("pk", flat=True)):
            transaction.savepoint_commit(start)
            return person
        transaction.savepoint_rollback(start)  # Lets go of the locks: a team must come first.
