"""Second factors: adding and removing them, passing one, and showing recovery codes, once."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from allauth.account.adapter import get_adapter
from allauth.core.internal.cryptokit import compare_user_code
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import (
    TOTP,
    format_hotp_value,
    hotp_value,
    yield_hotp_counters_from_time,
)
from allauth.mfa.utils import decrypt
from allauth.mfa.webauthn.internal.auth import WebAuthn
from django.conf import settings
from django.db import transaction
from django.db.models import Case, QuerySet, Value, When

from accounts.actors import Actor
from accounts.models import Membership, Team, User
from accounts.services.people import announce
from accounts.services.sessions import end_other_sessions

Type: Final = Authenticator.Type
# Where the number of the last code that an app was good for is kept, beside its secret.
LAST_COUNTER: Final = "last_counter"
# Whether a key signs in without a password: what the person chose. What the browser says of the
# key itself is something else, as many make every key fit for that.
ALONE: Final = "alone"
MAX_KEYS: Final = 20


class FactorError(Exception):
    """A factor cannot be added; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hand:
    """Who changes their own factors, in which session: the others end."""

    user: User
    session_key: str | None
    actor: Actor
    now: datetime


@dataclass(frozen=True, slots=True)
class Factors:
    """What a person has set up."""

    app: Authenticator | None
    keys: list[Authenticator]
    recovery: Authenticator | None

    @property
    def primary(self) -> list[Authenticator]:
        """All but the recovery codes, which only stand in for one of these."""
        return [*([self.app] if self.app else []), *self.keys]

    @property
    def codes_left(self) -> int:
        return len(self.recovery.wrap().get_unused_codes()) if self.recovery else 0

    @property
    def codes_unseen(self) -> bool:
        """Say whether there are recovery codes that nobody has looked at yet."""
        return self.recovery is not None and not self.recovery.wrap().did_view


def factors_of(user: User) -> Factors:
    return _sorted(Authenticator.objects.filter(user=user))


def _sorted(found: QuerySet[Authenticator]) -> Factors:
    rows = list(found.order_by("created_at", "pk"))
    return Factors(
        app=next((row for row in rows if row.type == Type.TOTP), None),
        keys=[row for row in rows if row.type == Type.WEBAUTHN],
        recovery=next((row for row in rows if row.type == Type.RECOVERY_CODES), None),
    )


def closing_without(user: User, factor: Authenticator) -> list[Team]:
    """Find the teams that close to the person when this factor goes, because it is the last."""
    if [other for other in factors_of(user).primary if other.pk != factor.pk]:
        return []
    return teams_that_ask(user)


def teams_that_ask(user: User) -> list[Team]:
    """Find the person's teams that open only to who has a second factor."""
    strict = Membership.objects.filter(user=user, team__requires_mfa=True).select_related("team")
    return [membership.team for membership in strict.order_by("team__name", "team_id")]


def signs_in_alone(key: Authenticator) -> bool:
    """Say whether its person wants the key to open the account without a password."""
    return bool(key.data.get(ALONE))


def name_of(factor: Authenticator) -> str:
    match factor.type:
        case Type.TOTP:
            return "Authenticator app"
        case Type.WEBAUTHN:
            return f"Passkey {factor.wrap().name}"
    return "Recovery codes"


# --- Adding and removing ----------------------------------------------------------------------


@transaction.atomic
def add_app(*, hand: Hand, secret: str, counter: int) -> None:
    """Add an authenticator app that has shown a code; the same code does not sign in as well.

    Raises FactorError.
    """
    before = _locked(hand.user)
    if before.app:
        raise FactorError("An authenticator app is set up already. Remove it to use another one.")
    app = TOTP.activate(hand.user, secret).instance
    app.data[LAST_COUNTER] = counter
    app.save(update_fields=["data"])
    _added(hand, before, app)


@transaction.atomic
def add_key(*, hand: Hand, name: str, credential: dict[str, Any], alone: bool) -> None:
    """Add a passkey or security key that has answered; it may sign in alone. Raises FactorError."""
    before = _locked(hand.user)
    if len(before.keys) >= MAX_KEYS:
        raise FactorError(f"There are {MAX_KEYS} passkeys already. Remove one that you do not use.")
    key = WebAuthn.add(hand.user, name, credential).instance
    key.data[ALONE] = alone
    key.save(update_fields=["data"])
    _added(hand, before, key)


@transaction.atomic
def remove(*, hand: Hand, factor_id: int) -> str | None:
    """Remove an app or a key, and with the last one the recovery codes; return what it was called.

    Returns None where it is gone already.
    """
    before = _locked(hand.user)
    factor = next((factor for factor in before.primary if factor.pk == factor_id), None)
    if factor is None:
        return None
    called = name_of(factor)
    factor.delete()
    if len(before.primary) == 1 and before.recovery:
        before.recovery.delete()
    _announce(hand, before, "RemoveSecondFactor", f"Removed the second factor {called}")
    _end_others_and_mail(hand, "mfa/email/factor_removed", {"factor": called})
    return called


@transaction.atomic
def rename_key(*, hand: Hand, factor_id: int, name: str) -> None:
    before = _locked(hand.user)
    key = next((key for key in before.keys if key.pk == factor_id), None)
    if key is None or key.wrap().name == name:
        return
    names = names_of(before)  # Before the rows change under it.
    key.data["name"] = name
    key.save(update_fields=["data"])
    announce(
        operation="RenameSecondFactor",
        description=f"Renamed a passkey to {name}",
        user=hand.user,
        before={"second_factors": names},
        after={"second_factors": names_of(factors_of(hand.user))},
        actor=hand.actor,
        now=hand.now,
    )


@transaction.atomic
def make_codes(*, hand: Hand) -> None:
    """Make new recovery codes in the place of the old ones. Raises FactorError."""
    before = _locked(hand.user)
    if not before.primary:
        raise FactorError("Recovery codes stand in for a second factor. Add one first.")
    left = before.codes_left
    if before.recovery:
        before.recovery.delete()
    RecoveryCodes.activate(hand.user)
    announce(
        operation="MakeRecoveryCodes",
        description="Made new recovery codes",
        user=hand.user,
        before={"recovery_codes": left},
        after={"recovery_codes": factors_of(hand.user).codes_left},
        actor=hand.actor,
        now=hand.now,
    )
    _end_others_and_mail(hand, "mfa/email/recovery_codes_made", {})


def names_of(factors: Factors) -> list[str]:
    return [name_of(factor) for factor in factors.primary]


def _locked(user: User) -> Factors:
    """Read a person's factors while nobody else adds, removes or uses one."""
    User.objects.select_for_update().get(pk=user.pk)
    return _sorted(Authenticator.objects.select_for_update().filter(user=user))


def _added(hand: Hand, before: Factors, factor: Authenticator) -> None:
    if before.recovery is None:
        RecoveryCodes.activate(hand.user)
    called = name_of(factor)
    _announce(hand, before, "AddSecondFactor", f"Added the second factor {called}")
    _end_others_and_mail(hand, "mfa/email/factor_added", {"factor": called})


def _announce(hand: Hand, before: Factors, operation: str, description: str) -> None:
    announce(
        operation=operation,
        description=description,
        user=hand.user,
        before={"second_factors": names_of(before)},
        after={"second_factors": names_of(factors_of(hand.user))},
        actor=hand.actor,
        now=hand.now,
    )


def _end_others_and_mail(hand: Hand, template: str, context: dict[str, Any]) -> None:
    end_other_sessions(user=hand.user, current_key=hand.session_key, actor=hand.actor, now=hand.now)
    get_adapter().send_notification_mail(template, hand.user, {"user": hand.user, **context})


# --- Codes ------------------------------------------------------------------------------------


@transaction.atomic
def use_code(user: User, code: str) -> Authenticator | None:
    """Find the factor that a typed code is of, and spend the code.

    A code works once. The row is locked meanwhile, and says itself what was used; allauth would
    remember it in the cache, which forgets, and for less time than a code is accepted.
    """
    typed = Authenticator.objects.select_for_update().filter(user=user)
    app_first = Case(When(type=Type.TOTP, then=Value(0)), default=Value(1))
    for factor in typed.exclude(type=Type.WEBAUTHN).order_by(app_first):
        if factor.type == Type.TOTP:
            passed = _use_app_code(factor, code)
        else:
            passed = bool(factor.wrap().validate_code(code))
        if passed:
            return factor
    return None


def counter_of(secret: str, code: str) -> int | None:
    """Say which of the codes that count now this is, by its number."""
    matches = (
        counter
        for counter in yield_hotp_counters_from_time()
        if compare_user_code(actual=code, expected=format_hotp_value(hotp_value(secret, counter)))
    )
    return next(matches, None)


def _use_app_code(app: Authenticator, code: str) -> bool:
    counter = counter_of(decrypt(app.data["secret"]), code)
    if counter is None or counter <= app.data.get(LAST_COUNTER, -1):
        return False
    app.data[LAST_COUNTER] = counter
    app.save(update_fields=["data"])
    return True


@transaction.atomic
def show_recovery_codes(user: User) -> list[str]:
    """Give out the recovery codes, this once; nothing if there are none or they were shown."""
    locked = Authenticator.objects.select_for_update()
    row = locked.filter(user=user, type=Type.RECOVERY_CODES).first()
    if row is None or (codes := RecoveryCodes(row)).did_view:
        return []
    codes.mark_as_viewed()
    unused: list[str] = codes.get_unused_codes()
    return unused


def are_recovery_codes(user: User, codes: Iterable[str]) -> bool:
    """Say whether these are all that are left, so whoever brings them was shown them."""
    recovery = factors_of(user).recovery
    return recovery is not None and recovery.wrap().get_unused_codes() == list(codes) != []


# --- Trusted browsers -------------------------------------------------------------------------


@transaction.atomic
def forget_browsers(*, hand: Hand) -> None:
    """Have every browser pass the second step again that was trusted to skip it.

    allauth trusts a browser as long as no factor changes, and a factor's seed counts as part of
    it. Only recovery codes are made from theirs, so any other factor can be given a new one.
    """
    for factor in _locked(hand.user).primary:
        factor.data["seed"] = secrets.token_hex(16)
        factor.save(update_fields=["data"])
    announce(
        operation="ForgetTrustedBrowsers",
        description="Forgot all trusted browsers",
        user=hand.user,
        before={"trusted_browsers": f"those of the last {settings.MFA_TRUST_COOKIE_AGE.days} days"},
        after={"trusted_browsers": "none"},
        actor=hand.actor,
        now=hand.now,
    )
