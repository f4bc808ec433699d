"""Everything another app may ask of API keys."""

from api_keys.rules import EVERYTHING, Terms, TermsError, named, python_example
from api_keys.secrets import digest_of
from api_keys.services.keys import (
    CreatedKey,
    KeyChangedError,
    KeyDeletedError,
    KeyExistsError,
    create,
    delete,
    disable,
    edit,
    enable,
    known_to,
    visible_to,
)
from api_keys.services.listing import Wanted, month_of, months_of, owners, page
from api_keys.services.lookup import KeyIdentity, asking, find, touch
from api_keys.services.people import delete_all, disable_all, forget, living, names, owned_by
from api_keys.services.rotation import (
    AlreadyRotatedError,
    GraceError,
    RotatedKey,
    end_secret,
    retired_secrets,
    rotate,
    rotations_of,
)

__all__ = [
    "EVERYTHING",
    "AlreadyRotatedError",
    "CreatedKey",
    "GraceError",
    "KeyChangedError",
    "KeyDeletedError",
    "KeyExistsError",
    "KeyIdentity",
    "RotatedKey",
    "Terms",
    "TermsError",
    "Wanted",
    "asking",
    "create",
    "delete",
    "delete_all",
    "digest_of",
    "disable",
    "disable_all",
    "edit",
    "enable",
    "end_secret",
    "find",
    "forget",
    "known_to",
    "living",
    "month_of",
    "months_of",
    "named",
    "names",
    "owned_by",
    "owners",
    "page",
    "python_example",
    "retired_secrets",
    "rotate",
    "rotations_of",
    "touch",
    "visible_to",
]
