"""Everything another app may ask of API keys."""

from api_keys.rules import named, python_example
from api_keys.secrets import digest_of
from api_keys.services.keys import (
    CreatedKey,
    KeyDeletedError,
    KeyExistsError,
    create,
    delete,
    disable,
    enable,
    known_to,
    visible_to,
)
from api_keys.services.lookup import KeyIdentity, asking, find, touch
from api_keys.services.people import delete_all, disable_all, forget, living, names, owned_by

__all__ = [
    "CreatedKey",
    "KeyDeletedError",
    "KeyExistsError",
    "KeyIdentity",
    "asking",
    "create",
    "delete",
    "delete_all",
    "digest_of",
    "disable",
    "disable_all",
    "enable",
    "find",
    "forget",
    "known_to",
    "living",
    "named",
    "names",
    "owned_by",
    "python_example",
    "touch",
    "visible_to",
]
