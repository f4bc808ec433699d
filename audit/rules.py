"""What the log says of a page that somebody opened, from the operation's name alone. Pure."""

import re
from typing import Final

# Read aloud: "Listed API keys", "Tried to list API keys".
PAST: Final = {"List": "Listed", "Get": "Viewed", "Export": "Exported"}
PRESENT: Final = {"List": "list", "Get": "view", "Export": "export"}


def sentence(operation: str, *, was_done: bool) -> str:
    """Put an operation into words: `ListApiKeys` becomes "Listed API keys".

    Only pages come here. A change says more than its name, so its service writes the sentence.
    """
    verb, *nouns = re.findall(r"[A-Z][a-z0-9]*|[^A-Z]+", operation) or [operation]
    thing = " ".join("API" if noun == "Api" else noun.lower() for noun in nouns)
    if was_done:
        words = f"{PAST.get(verb, f'Opened the page to {verb.lower()}')} {thing}"
    else:
        words = f"Tried to {PRESENT.get(verb, verb.lower())} {thing}"
    return words.strip()
