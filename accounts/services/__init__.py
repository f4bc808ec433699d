"""What accounts can be asked for. Callers say `from accounts import services as accounts`."""

from accounts.services.people import (
    NewStaff,
    add_person,
    add_staff,
    announce,
    announce_standing,
    standing,
)
from accounts.services.teams import (
    MAX_TEAMS,
    TooManyTeamsError,
    add_member,
    create_team,
    default_team,
    personal_team,
    teams_of,
)

__all__ = [
    "MAX_TEAMS",
    "NewStaff",
    "TooManyTeamsError",
    "add_member",
    "add_person",
    "add_staff",
    "announce",
    "announce_standing",
    "create_team",
    "default_team",
    "personal_team",
    "standing",
    "teams_of",
]
