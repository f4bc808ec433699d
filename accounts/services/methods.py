"""How a person signs in: by a password and by accounts elsewhere. Adding and removing ways."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from allauth.account.adapter import get_adapter
from allauth.account.models import EmailAddress
from allauth.socialaccount.adapter import get_adapter as get_social_adapter
from allauth.socialaccount.models import SocialAccount, SocialLogin
from django.contrib.auth.hashers import make_password
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef
from django.db.models.functions import Lower

from accounts.actors import Actor
from accounts.models import HAS_PASSWORD, User
from accounts.services.factors import factors_of, signs_in_alone
from accounts.services.pending_emails import forget_pending_email
from accounts.services.people import announce
from accounts.services.sessions import end_other_sessions

# What those are called whose way is switched off.
NAMES: Final = {"twitter_oauth2": "X", "google": "Google", "github": "GitHub"}


class LastMethodError(Exception):
    """Without this one, nobody could sign in to the account any more."""

    def __init__(self, method: str) -> None:
        super().__init__(
            f"{method} cannot be removed: every account keeps a password or a linked account. "
            "Add another one first."
        )


class MethodTakenError(Exception):
    """The account elsewhere signs in to another account here."""

    def __init__(self, method: str) -> None:
        super().__init__(
            f"{method} signs in to another account here. To use it with this one, sign in with "
            "it and remove it from that account first."
        )


class PasswordTakenError(Exception):
    """Another account with the same e-mail has the password."""

    def __init__(self, email: str) -> None:
        super().__init__(
            f"Another account with the email {email} has a password, and only one of them can. "
            "Sign in to that one and remove its password, or go on without one here."
        )


@dataclass(frozen=True, slots=True)
class SignInMethod:
    """One way into an account. `account_id` is that of the row, None for the password."""

    account_id: int | None
    provider: str  # "GitHub"; for the password, "Password".
    name: str  # What the person is called there; empty for the password.
    added_at: datetime | None
    used_at: datetime | None
    works: bool = True  # False while the operator has switched the provider off.

    def __str__(self) -> str:
        return describe_method(self.provider, self.name)

    @property
    def phrase(self) -> str:
        """To follow "signs in with"."""
        return str(self) if self.account_id else "a password"


def describe_method(provider: str, name: str) -> str:
    """Name a way to sign in so that two of one kind can be told apart."""
    provider = provider[:1].upper() + provider[1:]
    return f"{provider} as {name}" if name else provider


def providers_on() -> dict[str, str]:
    """Name the providers that are switched on, by their ids."""
    apps = get_social_adapter().list_apps(None)
    return {app.provider_id or app.provider: app.name for app in apps}


def methods_of(user: User) -> list[SignInMethod]:
    """List the ways into an account: the password first, then by age."""
    found = []
    if user.has_usable_password():
        found.append(
            SignInMethod(None, "Password", "", user.password_set_at, user.password_used_at)
        )
    switched_on = providers_on()
    found += [
        SignInMethod(
            account_id=row.pk,
            provider=switched_on.get(row.provider) or NAMES.get(row.provider, row.provider),
            name=row.extra_data.get("name", ""),
            added_at=row.date_joined,
            used_at=row.last_login,
            works=row.provider in switched_on,
        )
        for row in SocialAccount.objects.filter(user=user).order_by("date_joined", "pk")
    ]
    return found


def phrases_of(user: User) -> list[str]:
    """Say what an account signs in with. Passkeys that do so alone count, unlike for `is_last`."""
    phrases = [method.phrase for method in methods_of(user)]
    if any(signs_in_alone(key) for key in factors_of(user).keys):
        phrases.append("a passkey")
    return phrases


def is_last(method: SignInMethod, methods: Iterable[SignInMethod]) -> bool:
    """Say whether nobody could sign in without it. What is switched off opens nothing."""
    return not any(other.works for other in methods if other.account_id != method.account_id)


def names_of(methods: Iterable[SignInMethod]) -> list[str]:
    return [str(method) for method in methods]


def people_with_email(email: str) -> list[User]:
    """Find the open accounts that have confirmed an address, in whatever spelling.

    Anybody can sign up with somebody else's; such an account is none of theirs.
    """
    same = User.objects.alias(lowered=Lower("email")).filter(lowered=email.lower())
    confirmed = Exists(EmailAddress.objects.filter(user=OuterRef("pk"), verified=True))
    return list(same.filter(confirmed, is_active=True).order_by("date_joined", "pk"))


def confirmed_email(login: SocialLogin) -> str:
    """Find the address that the provider of a social account vouches for; empty if there is none.

    Only such an address may be asked about: whose it is not would learn who has an account.
    """
    return next((a.email for a in login.email_addresses if a.verified), "")


# --- Changing them. Each locks the person, so that two requests at once see each other's work.


@transaction.atomic
def add_social_account(*, user: User, account: SocialAccount, actor: Actor, now: datetime) -> str:
    """Let an account elsewhere, just signed in to, sign in to this one; return what it is called.

    Once is as good as twice. Raises MethodTakenError.
    """
    user = _locked(user)
    called = describe_method(_provider_name(account), account.extra_data.get("name", ""))
    held = SocialAccount.objects.filter(provider=account.provider, uid=account.uid).first()
    if held is not None:
        if held.user_id == user.pk:
            return called
        raise MethodTakenError(called)
    before = methods_of(user)
    try:
        with transaction.atomic():
            SocialAccount.objects.create(
                user=user,
                provider=account.provider,
                uid=account.uid,
                extra_data=account.extra_data,
            )
    except IntegrityError as error:  # Somebody else was quicker.
        raise MethodTakenError(called) from error
    _tell(user, "AddSignInMethod", f"Added {called} to sign in with", before, actor, now)
    _mail("socialaccount/email/account_connected", user, {"method": called})
    return called


@transaction.atomic
def remove_social_account(
    *, user: User, account_id: int, current_key: str | None, actor: Actor, now: datetime
) -> str | None:
    """Take an account elsewhere away from this one; return what it was called.

    It may have opened any of the sessions, so all end but that of `current_key`.
    Returns None where it is gone already. Raises LastMethodError.
    """
    user = _locked(user)
    before = methods_of(user)
    method = next((m for m in before if m.account_id == account_id), None)
    if method is None or method.account_id is None:
        return None
    if is_last(method, before):
        raise LastMethodError(str(method))
    SocialAccount.objects.filter(user=user, pk=account_id).delete()
    end_other_sessions(user=user, current_key=current_key, actor=actor, now=now)
    _tell(user, "RemoveSignInMethod", f"Removed {method} to sign in with", before, actor, now)
    _mail("socialaccount/email/account_disconnected", user, {"method": str(method)})
    return str(method)


@transaction.atomic
def remove_password(*, user: User, actor: Actor, now: datetime) -> bool:
    """Leave the account to its other ways to sign in. Raises LastMethodError.

    The caller's `user` changes with it, whose session has to be kept; all others end.
    """
    locked = _locked(user)
    before = methods_of(locked)
    method = next((m for m in before if m.account_id is None), None)
    if method is None:
        return False
    if is_last(method, before):
        raise LastMethodError(str(method))
    user.set_unusable_password()
    user.password_set_at = user.password_used_at = None
    user.save(update_fields=["password", "password_set_at", "password_used_at"])
    forget_pending_email(user=user, actor=actor, now=now)
    _tell(user, "RemovePassword", "Removed the password", before, actor, now)
    _mail("accounts/email/password_removed", user, {})
    return True


@transaction.atomic
def set_password(*, user: User, password: str, actor: Actor, now: datetime) -> None:
    """Give the account a first password. Raises PasswordTakenError."""
    before = methods_of(_locked(user))
    drop_unconfirmed_password(user.email, keep=user)
    if (holder := User.objects.with_password(user.email)) and holder.pk != user.pk:
        raise PasswordTakenError(user.email)
    try:
        with transaction.atomic():
            keep_password(user=user, password=password, actor=actor, now=now)
    except IntegrityError as error:  # The other account was quicker.
        user.set_unusable_password()
        raise PasswordTakenError(user.email) from error
    _tell(user, "SetPassword", "Set a password", before, actor, now)


@transaction.atomic
def change_password(*, user: User, password: str, actor: Actor, now: datetime) -> None:
    """Put another password in the place of the one that there is."""
    before = {"password_set_at": _readable(_locked(user).password_set_at)}
    keep_password(user=user, password=password, actor=actor, now=now)
    announce(
        operation="ChangePassword",
        description="Changed the password",
        user=user,
        before=before,
        after={"password_set_at": _readable(now)},
        actor=actor,
        now=now,
    )


@transaction.atomic
def keep_password(*, user: User, password: str, actor: Actor, now: datetime) -> None:
    """Let this password open the account, and no mail link that somebody else asked for."""
    user.set_password(password)
    user.password_set_at, user.password_used_at = now, None
    user.save(update_fields=["password", "password_set_at", "password_used_at"])
    forget_pending_email(user=user, actor=actor, now=now)


def drop_unconfirmed_password(email: str, *, keep: User) -> None:
    """Take the password from an account that never confirmed this address, as `keep` has.

    Such an account opens nothing; but only one account per address has a password, so it would
    stand in the way of whoever reads the mail. Anybody can sign up with somebody else's address.
    """
    same = User.objects.alias(lowered=Lower("email")).filter(HAS_PASSWORD, lowered=email.lower())
    confirmed = EmailAddress.objects.filter(user=OuterRef("pk"), verified=True)
    never = same.filter(~Exists(confirmed)).exclude(pk=keep.pk)
    never.update(password=make_password(None), password_set_at=None, password_used_at=None)


def _locked(user: User) -> User:
    return User.objects.select_for_update().get(pk=user.pk)


def _provider_name(account: SocialAccount) -> str:
    return providers_on().get(account.provider) or NAMES.get(account.provider, account.provider)


def _tell(
    user: User,
    operation: str,
    description: str,
    before: list[SignInMethod],
    actor: Actor,
    now: datetime,
) -> None:
    announce(
        operation=operation,
        description=description,
        user=user,
        before={"sign_in_methods": names_of(before)},
        after={"sign_in_methods": names_of(methods_of(user))},
        actor=actor,
        now=now,
    )


def _mail(template: str, user: User, context: dict[str, Any]) -> None:
    get_adapter().send_notification_mail(template, user, context)


def _readable(moment: datetime | None) -> str:
    return moment.isoformat(timespec="seconds") if moment else "not known"
