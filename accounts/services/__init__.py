"""What accounts can be asked for. Callers say `from accounts import services as accounts`."""

from accounts.services.deletion import (
    GRACE,
    AlreadyErasedError,
    ErasureError,
    KnownAs,
    deletion_consequences,
    erase_due,
    erased_from,
    request_deletion,
    restore,
    teams_without_another_admin,
)
from accounts.services.people import (
    NewStaff,
    add_person,
    add_staff,
    announce,
    announce_standing,
    standing,
)
from accounts.services.personal_data import personal_data
from accounts.services.profile import update_profile
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
    "GRACE",
    "MAX_TEAMS",
    "AlreadyErasedError",
    "ErasureError",
    "KnownAs",
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
    "deletion_consequences",
    "erase_due",
    "erased_from",
    "lock_team",
    "personal_data",
    "personal_team",
    "request_deletion",
    "restore",
    "standing",
    "teams_of",
    "teams_without_another_admin",
    "update_profile",
]
