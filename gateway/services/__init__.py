"""Everything that can be asked of the gateway: what it offers, and clearing what it serves."""

from gateway.services.admission import (
    CHAT,
    MODELS,
    Admitted,
    Arrival,
    check_usable,
    identify,
)
from gateway.services.agreements import agree
from gateway.services.catalog import (
    Catalog,
    Offer,
    Target,
    catalog,
    find_offer,
    offer_in_sandbox,
    offers_for,
)
from gateway.services.clearing import Outcome, clear
from gateway.services.increases import (
    ModelGoneError,
    NotHigherError,
    TooManyIncreasesError,
    request_increase,
    waiting_increases,
)
from gateway.services.limits import Use, use_of
from gateway.services.price_list import Listing, price_list
from gateway.services.refusals import RateLimitedError, RefusedError, UncountedError

__all__ = [
    "CHAT",
    "MODELS",
    "Admitted",
    "Arrival",
    "Catalog",
    "Listing",
    "ModelGoneError",
    "NotHigherError",
    "Offer",
    "Outcome",
    "RateLimitedError",
    "RefusedError",
    "Target",
    "TooManyIncreasesError",
    "UncountedError",
    "Use",
    "agree",
    "catalog",
    "check_usable",
    "clear",
    "find_offer",
    "identify",
    "offer_in_sandbox",
    "offers_for",
    "price_list",
    "request_increase",
    "use_of",
    "waiting_increases",
]
