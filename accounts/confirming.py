"""Where the mailed link of an address counts, and how often one is mailed.

A link confirms only in a browser where its account is signed in, or is about to be. Anybody can
sign up with somebody else's address; whoever reads its mail and follows the link must not make it
the address of that account.
"""

from typing import Final

from allauth.account.internal.stagekit import get_pending_stage
from allauth.account.models import EmailAddress, EmailConfirmationHMAC
from allauth.account.stages import EmailVerificationStage
from allauth.core.internal import ratelimit
from django.http import HttpRequest

from accounts.models import User

WAITING: Final = "confirm_email"  # The link that waits in a session for the sign-in to its account.


def is_at_hand(request: HttpRequest, user: User) -> bool:
    """Say whether the account is signed in here, or waits here for its address to be confirmed."""
    if request.user.is_authenticated:
        return bool(request.user.pk == user.pk)
    stage = get_pending_stage(request)
    if stage is None or stage.key != EmailVerificationStage.key or stage.login.user is None:
        return False
    return bool(stage.login.user.pk == user.pk)


def keep(request: HttpRequest, key: str) -> None:
    request.session[WAITING] = key


def recall(request: HttpRequest, user: User) -> str | None:
    """Find the link that was followed here before this account was at hand."""
    key = request.session.get(WAITING)
    found = EmailConfirmationHMAC.from_key(key) if key else None
    return key if found and found.email_address.user_id == user.pk else None


def forget(request: HttpRequest) -> None:
    request.session.pop(WAITING, None)


def may_mail(request: HttpRequest, address: EmailAddress) -> bool:
    """Say whether a link may be mailed again, by what was mailed for this account alone.

    allauth counts by address. There, whoever signs up with somebody else's would keep the mail
    from the one whose it is; only a limit per day is left to it.
    """
    usage = ratelimit.consume(
        request,
        app="allauth.account",
        action="confirm_email_of_account",
        key=f"{address.user_id}:{address.email}",
        limit_get=True,
    )
    return usage is not None
