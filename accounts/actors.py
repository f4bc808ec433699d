"""Who is acting: what every service that changes something is told, and the audit log keeps."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

from accounts.models import User

# Where somebody acts from if nobody knows: for columns of addresses that have to be filled.
UNKNOWN_IP: Final = "0.0.0.0"  # noqa: S104 -- nothing listens on it


class ActorKind(StrEnum):
    """What sort of hand did it."""

    USER = "user"
    KEY = "key"
    STAFF = "staff"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Actor:
    """Someone or something that acts, and from where. `ip` and `user_agent` are empty for jobs."""

    kind: ActorKind
    label: str
    user: User | None = None
    key_id: UUID | None = None
    ip: str | None = None
    user_agent: str = ""

    @classmethod
    def for_user(cls, user: User, *, ip: str | None = None, user_agent: str = "") -> "Actor":
        return cls(ActorKind.USER, user.display_name, user=user, ip=ip, user_agent=user_agent)


SYSTEM = Actor(ActorKind.SYSTEM, "Console")
