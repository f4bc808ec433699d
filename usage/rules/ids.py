"""What the id of a request says about its time: they are UUIDv7."""

from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

# A request is written when it ends, with the id of when it began.
LONGEST_REQUEST: Final = timedelta(days=1)


def first_id(moment: datetime) -> UUID:
    """Say which id none of this moment or later is below."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)


def moment_of(id_: UUID) -> datetime:
    """Say when an id was made."""
    return datetime.fromtimestamp((id_.int >> 80) / 1000, UTC)
