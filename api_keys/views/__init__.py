"""The pages of API keys, and what their buttons do."""

from api_keys.views.buttons import (
    create,
    delete,
    disable,
    edit,
    enable,
    end_secret,
    rotate,
    settings,
)
from api_keys.views.pages import PAGE_SIZE, key, keys

__all__ = [
    "PAGE_SIZE",
    "create",
    "delete",
    "disable",
    "edit",
    "enable",
    "end_secret",
    "key",
    "keys",
    "rotate",
    "settings",
]
