"""How much may be given away in the admin at once."""

from decimal import Decimal
from typing import Final

MOST_GRANTED_USD: Final = Decimal(100_000)
