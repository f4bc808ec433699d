"""What the id of a request says about its time: they are UUIDv7."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

# A request is written when it ends, with the id of when it began.
LONGEST_REQUEST: Final = timedelta(days=1)


def first_id(moment: datetime) -> UUID:
    """Say which id none of this moment or later is below."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)
