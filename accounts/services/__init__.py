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
    TeamClosedError,
    TooManyTeamsError,
    add_member,
    close_team,
    closing,
    create_team,
    default_team,
    lock_team,
    personal_team,
    teams_of,
)

__all__ = [
    "MAX_TEAMS",
    "NewStaff",
    "TeamClosedError",
    "TooManyTeamsError",
    "add_member",
    "add_person",
    "add_staff",
    "announce",
    "announce_standing",
    "close_team",
    "closing",
    "create_team",
    "default_team",
    "lock_team",
    "personal_team",
    "standing",
    "teams_of",
]
