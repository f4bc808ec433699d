"""How names are kept: in one line, and made of nothing but what can be seen.

A name stands in mails to strangers, in the audit log and in switchers. There it must neither add
lines of its own, nor turn the text around, nor look like another name.
"""

from accounts.models import NAME_MAX_LENGTH


def in_one_line(text: str) -> str:
    return " ".join(text.split())


def as_name(text: str) -> str:
    """Make a name of what a provider says; nobody is there to be asked for a better one."""
    seen = "".join(letter for letter in in_one_line(text) if letter.isprintable())
    return in_one_line(seen)[:NAME_MAX_LENGTH].rstrip()
