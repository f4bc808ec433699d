"""Changing an account's e-mail: confirmed by the new address, undone by the old one."""

from datetime import datetime, timedelta
from typing import Final

from allauth.account.adapter import get_adapter
from allauth.account.models import EmailAddress
from django.conf import settings
from django.db import IntegrityError, transaction
from django.urls import reverse

from accounts.actors import Actor
from accounts.models import EmailChange, User
from accounts.services.methods import drop_unconfirmed_password
from accounts.services.people import announce
from accounts.services.sessions import end_other_sessions
from accounts.services.tokens import digest_of, new_token

UNDO_DAYS: Final = 7


class EmailTakenError(Exception):
    """Two accounts with a password cannot share an address; told only to who reads its mail."""

    def __init__(self, email: str) -> None:
        super().__init__(
            f"Another account with the email {email} has a password, and so has this one. "
            "Remove the password of one of the two, then follow the link again."
        )


class UndoImpossibleError(Exception):
    """Somebody has confirmed another account with the old address since."""

    def __init__(self, email: str) -> None:
        super().__init__(
            f"By now another account with the email {email} has a password. "
            f"Write to {settings.SUPPORT_EMAIL} to have the change undone."
        )


class ChangeForgottenError(Exception):
    """The change was called off while its link was being followed."""

    def __init__(self) -> None:
        super().__init__("This change of email was called off. Ask for it again.")


@transaction.atomic
def ask_for_email(*, user: User, email: str, actor: Actor, now: datetime) -> EmailAddress:
    """Note which address the account shall change to, in place of one noted before.

    The address that there is hears of it now, while nothing is lost yet.
    """
    _locked(user)
    EmailAddress.objects.filter(user=user, verified=False).delete()
    address = EmailAddress.objects.create(user=user, email=email.lower())
    announce(
        operation="RequestEmailChange",
        description=f"Asked to change the email to {address.email}",
        user=user,
        before={"email": user.email},
        after={"email": user.email, "waits_for_confirmation": address.email},
        actor=actor,
        now=now,
    )
    get_adapter().send_notification_mail(
        "accounts/email/email_change_asked", user, {"to_email": address.email}
    )
    return address


@transaction.atomic
def change_email(*, address: EmailAddress, actor: Actor, now: datetime) -> None:
    """Put a newly confirmed address in the place of the old one, and tell the old one.

    Raises ChangeForgottenError and EmailTakenError.
    """
    user = _locked(address.user)
    if not EmailAddress.objects.filter(pk=address.pk).exists():
        raise ChangeForgottenError
    before = user.email
    _move(user, address.email, EmailTakenError(address.email))
    token = new_token()
    EmailChange.objects.create(
        user=user,
        from_email=before,
        to_email=address.email,
        changed_at=now,
        digest=digest_of(token),
    )
    announce(
        operation="ChangeEmail",
        description=f"Changed the email from {before} to {address.email}",
        user=user,
        before={"email": before},
        after={"email": address.email},
        actor=actor,
        now=now,
    )
    get_adapter().send_notification_mail(
        "account/email/email_changed",
        user,
        {
            "from_email": before,
            "to_email": address.email,
            "undo_url": settings.PUBLIC_URL + reverse("accounts:undo_email", args=[token]),
            "undo_days": UNDO_DAYS,
        },
        email=before,
    )


def change_to_undo(token: str, *, now: datetime) -> EmailChange | None:
    """Find what a mailed link undoes, while it does."""
    return (
        EmailChange.objects.select_related("user")
        .filter(
            digest=digest_of(token),
            undone_at=None,
            changed_at__gt=now - timedelta(days=UNDO_DAYS),
            user__erased_at=None,
        )
        .first()
    )


@transaction.atomic
def undo_email_change(*, change: EmailChange, actor: Actor, now: datetime) -> bool:
    """Put the old address back and end every session: whoever changed it is to be put out.

    Returns False where it is undone already. Raises UndoImpossibleError.
    """
    user = _locked(change.user)
    later = EmailChange.objects.filter(user=user, undone_at=None, changed_at__gte=change.changed_at)
    if not later.filter(pk=change.pk).exists():
        return False
    before = user.email
    _move(user, change.from_email, UndoImpossibleError(change.from_email))
    # With this one all that came after it: they lead to addresses of whoever it was.
    later.update(undone_at=now)
    end_other_sessions(user=user, current_key=None, actor=actor, now=now)
    announce(
        operation="UndoEmailChange",
        description=f"Changed the email back from {before} to {change.from_email}",
        user=user,
        before={"email": before},
        after={"email": change.from_email},
        actor=actor,
        now=now,
    )
    get_adapter().send_notification_mail(
        "accounts/email/email_change_undone", user, {"from_email": before}
    )
    return True


def _locked(user: User) -> User:
    return User.objects.select_for_update().get(pk=user.pk)


def _move(user: User, email: str, refusal: Exception) -> None:
    """Leave the account with this address alone, confirmed.

    Raises `refusal` where the database does: see user_one_password_per_email.
    """
    drop_unconfirmed_password(email, keep=user)
    EmailAddress.objects.filter(user=user).delete()
    EmailAddress.objects.create(user=user, email=email.lower(), primary=True, verified=True)
    user.email = email
    try:
        with transaction.atomic():
            user.save(update_fields=["email"])
    except IntegrityError as error:
        raise refusal from error
