"""The address that an account changes to once it is confirmed, and calling that off."""

from datetime import datetime

from allauth.account.models import EmailAddress
from django.db import transaction

from accounts.actors import Actor
from accounts.models import User
from accounts.services.people import announce


def is_change(address: EmailAddress) -> bool:
    """Say whether confirming it takes the place of an address that is confirmed already."""
    return bool(EmailAddress.objects.filter(user=address.user, verified=True).exists())


def pending_email(user: User) -> EmailAddress | None:
    """Find the address that the account changes to once it is confirmed."""
    return EmailAddress.objects.filter(user=user, verified=False).order_by("pk").last()


@transaction.atomic
def forget_pending_email(*, user: User, actor: Actor, now: datetime) -> str | None:
    """Keep the address that there is; return the one that is not changed to any more.

    Whatever puts a thief out of an account does this, too: a thief who asked for the change would
    come back by its link. The address of an account that is not confirmed yet is none to forget.
    """
    User.objects.select_for_update(no_key=True).get(pk=user.pk)
    pending = pending_email(user)
    if pending is None or not is_change(pending):
        return None
    kept_from: str = pending.email
    EmailAddress.objects.filter(user=user, verified=False).delete()
    announce(
        operation="CancelEmailChange",
        description=f"Did not change the email to {kept_from}",
        user=user,
        before={"email": user.email, "waits_for_confirmation": kept_from},
        after={"email": user.email},
        actor=actor,
        now=now,
    )
    return kept_from
