"""Everything another app may ask of API keys."""

from api_keys.rules import (
    EVERYTHING,
    Terms,
    TermsError,
    acl_allows,
    named,
    networks_allow,
    python_example,
)
from api_keys.secrets import digest_of, hide
from api_keys.services.addresses import addresses_of, look_up_countries, prune_addresses
from api_keys.services.github import BadSignatureError, KeysUnavailableError
from api_keys.services.github import verify as verify_github
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
from api_keys.services.leaks import (
    Finding,
    Reporter,
    Verdict,
    leaks_of,
    report_leak,
    report_leaks,
)
from api_keys.services.listing import ORDERS, Wanted, month_of, months_of, owners, page
from api_keys.services.lookup import KeyIdentity, asking, find, touch
from api_keys.services.notices import (
    REMIND_BEFORE,
    mails_new_countries,
    remind_of_expiry,
    set_mails_new_countries,
)
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
from api_keys.services.spending import add_spent, asking_spent

__all__ = [
    "EVERYTHING",
    "ORDERS",
    "REMIND_BEFORE",
    "AlreadyRotatedError",
    "BadSignatureError",
    "CreatedKey",
    "Finding",
    "GraceError",
    "KeyChangedError",
    "KeyDeletedError",
    "KeyExistsError",
    "KeyIdentity",
    "KeysUnavailableError",
    "Reporter",
    "RotatedKey",
    "Terms",
    "TermsError",
    "Verdict",
    "Wanted",
    "acl_allows",
    "add_spent",
    "addresses_of",
    "asking",
    "asking_spent",
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
    "hide",
    "known_to",
    "leaks_of",
    "living",
    "look_up_countries",
    "mails_new_countries",
    "month_of",
    "months_of",
    "named",
    "names",
    "networks_allow",
    "owned_by",
    "owners",
    "page",
    "prune_addresses",
    "python_example",
    "remind_of_expiry",
    "report_leak",
    "report_leaks",
    "retired_secrets",
    "rotate",
    "rotations_of",
    "set_mails_new_countries",
    "touch",
    "verify_github",
    "visible_to",
]
