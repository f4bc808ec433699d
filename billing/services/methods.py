"""The cards that a team pays with: entered, kept on file, chosen, and forgotten.

A card that is entered is known here by what the processor calls it. One that is entered for a
payment is kept on file once it has paid, for the whole team; one that is added by hand, at once.
"""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from accounts.actors import Actor
from accounts.models import Team
from audit import services as audit
from billing import payments
from billing.models import Payment, PaymentMethod, ProcessorCustomer
from billing.payments import (
    Card,
    CustomerGoneError,
    Method,
    ProcessorUnavailableError,
    Refused,
    Setup,
)
from billing.services.accounts import lock_account

logger = logging.getLogger(__name__)

# How long a card that was entered, and has not paid, may be about to.
UNUSED: Final = timedelta(days=2)
# How many cards one run of the job has the processor forget.
BATCH: Final = 200


class MethodRefusedError(Exception):
    """The card cannot be used here. `code` tells why."""

    def __init__(self, code: str) -> None:
        super().__init__(payments.reason(code))
        self.code = code


class MethodGoneError(Exception):
    """The payment method is not on file any more, or never was."""

    def __init__(self) -> None:
        super().__init__("This payment method is not on file. Choose another one, or enter a card.")


class LastMethodError(Exception):
    """The only payment method cannot be removed."""

    def __init__(self) -> None:
        super().__init__(
            "This is the only payment method on file, so it cannot be removed. Add another one "
            "first."
        )


# --- Reading ----------------------------------------------------------------------------------


def methods_on_file(team: Team) -> list[PaymentMethod]:
    """List what the team can pay with again, the default first and then the newest."""
    return list(PaymentMethod.of(team).on_file().filter(processor=settings.PAYMENTS))


def default_method(team: Team) -> PaymentMethod | None:
    """Say what is charged when nobody is there to choose."""
    methods = PaymentMethod.of(team).on_file()
    return methods.filter(processor=settings.PAYMENTS, is_default=True).first()


def heir(method: PaymentMethod, on_file: Iterable[PaymentMethod]) -> PaymentMethod | None:
    """Say which becomes the default when a default is removed: the newest other one."""
    return next((other for other in on_file if other.pk != method.pk), None)


def usable_method(team: Team, method_id: UUID) -> PaymentMethod:
    """Find a method that the team has on file. Raises MethodGoneError."""
    methods = PaymentMethod.of(team).on_file().filter(processor=settings.PAYMENTS, pk=method_id)
    if method := methods.first():
        return method
    raise MethodGoneError


def customer_of(method: PaymentMethod) -> str:
    """Say by what name the method's processor knows its team."""
    return ProcessorCustomer.of(method.team).get(processor=method.processor).reference


# --- Entering a card --------------------------------------------------------------------------


def enter_card(*, team: Team, actor: Actor, card: Card, now: datetime) -> PaymentMethod:
    """Hand a typed card to the sandbox. The one place that sees its number, and not in Stripe mode.

    Raises MethodRefusedError.
    """
    if not payments.is_sandbox():
        raise TypeError("Cards are entered at Stripe and never come here.")
    customer = _customer(team)
    return _enter(team, actor, payments.SANDBOX.tokenise(customer=customer, card=card), now)


def begin_entry(*, team: Team) -> Setup:
    """Let the person's browser enter a card at Stripe. Raises ProcessorUnavailableError."""
    known = _customer(team)
    try:
        return payments.stripe_processor().begin_method(customer=known)
    except CustomerGoneError:
        # Somebody deleted it in Stripe's dashboard. Its cards are gone with it, and refused when
        # they are charged.
        anew = payments.current().customer(team=str(team.pk), instead_of=known)
        customers = ProcessorCustomer.of(team).filter(processor=settings.PAYMENTS)
        customers.filter(reference=known).update(reference=anew)
        return payments.stripe_processor().begin_method(customer=_customer(team))


def finish_entry(*, team: Team, actor: Actor, reference: str, now: datetime) -> PaymentMethod:
    """Take in the card that a browser has entered at Stripe, as Stripe describes it.

    Raises MethodRefusedError, ProcessorUnavailableError.
    """
    customer = _customer(team)
    entered = payments.stripe_processor().finish_method(customer=customer, reference=reference)
    return _enter(team, actor, entered, now)


def _customer(team: Team) -> str:
    """Make the team known to the processor, once. Nothing is locked while it is asked."""
    known = ProcessorCustomer.of(team).filter(processor=settings.PAYMENTS).first()
    if known is None:
        reference = payments.current().customer(team=str(team.pk))
        # Two first cards at once: the second takes the customer of the first.
        known, _ = ProcessorCustomer.across_teams.get_or_create(
            team=team, processor=settings.PAYMENTS, defaults={"reference": reference}
        )
    return known.reference


def _enter(team: Team, actor: Actor, entered: Method | Refused, now: datetime) -> PaymentMethod:
    if isinstance(entered, Refused):
        raise _refusal(team, actor, entered.code, now)
    is_refused = entered.country in settings.REFUSED_CARD_COUNTRIES
    method, _ = PaymentMethod.across_teams.get_or_create(
        processor=settings.PAYMENTS,
        reference=entered.reference,
        defaults={
            "team": team,
            "brand": entered.brand,
            "last4": entered.last4,
            "exp_month": entered.exp_month,
            "exp_year": entered.exp_year,
            "country": entered.country,
            "fingerprint": entered.fingerprint,
            "added_by": actor.user,
            "added_at": now,
            # The processor has it by now, and is told to forget it.
            "removed_at": now if is_refused else None,
        },
    )
    if is_refused:
        raise _refusal(team, actor, "card_country", now)
    if method.team_id != team.pk or method.removed_at:
        raise MethodGoneError
    method.team = team
    return method


def _refusal(team: Team, actor: Actor, code: str, now: datetime) -> MethodRefusedError:
    """Write a refused card down, of which nothing is known here but that."""
    refused = MethodRefusedError(code)
    audit.record(
        team=team,
        actor=actor,
        operation="AddPaymentMethod",
        description=f"Could not enter a card: {refused}",
        target_type="payment method",
        outcome="failed",
        now=now,
    )
    return refused


# --- Keeping ----------------------------------------------------------------------------------


@transaction.atomic
def add_method(*, team: Team, actor: Actor, method: PaymentMethod, now: datetime) -> PaymentMethod:
    """Keep a card on file that was entered for nothing else. Returns the one that is on file."""
    lock_account(team)
    return keep(method=method, actor=actor, now=now)


def keep(*, method: PaymentMethod, actor: Actor, now: datetime) -> PaymentMethod:
    """Put a card on file in the caller's transaction, which has locked the team's account.

    The first one becomes the default. Entered again, a card takes the place of what was known of
    it, which may be what is wrong with it.
    """
    team = method.team
    method = PaymentMethod.of(team).select_related("team").get(pk=method.pk)
    if method.kept_at:
        return method
    others = PaymentMethod.of(team).on_file().filter(processor=method.processor)
    same = None
    if method.fingerprint:
        same = others.filter(fingerprint=method.fingerprint).first()
    kept = f"Added {method} to the payment methods"
    if same:
        others.filter(pk=same.pk).update(is_default=False, removed_at=now)
        kept = f"Entered {method} anew, in place of the one that was on file"
    method.kept_at, method.removed_at = now, None
    method.is_default = not others.filter(is_default=True).exists()
    method.save(update_fields=["kept_at", "removed_at", "is_default"])
    _record(method, actor, "AddPaymentMethod", kept, after=_facts(method), now=now)
    return method


def discard(*, method: PaymentMethod, now: datetime) -> None:
    """Give up a card that is not on file. The job has the processor forget it."""
    unkept = PaymentMethod.of(method.team).filter(pk=method.pk, kept_at=None, removed_at=None)
    unkept.update(removed_at=now)


@transaction.atomic
def set_default_method(
    *, team: Team, actor: Actor, method_id: UUID, now: datetime
) -> PaymentMethod:
    """Choose what is charged when nobody is there. Raises MethodGoneError."""
    lock_account(team)
    method = usable_method(team, method_id)
    if method.is_default:
        return method
    before = default_method(team)
    same_processor = PaymentMethod.of(team).filter(processor=method.processor)
    same_processor.filter(is_default=True).update(is_default=False)
    method.is_default = True
    method.save(update_fields=["is_default"])
    _record(
        method,
        actor,
        "SetDefaultPaymentMethod",
        f"Made {method} the default payment method",
        before={"default": str(before) if before else ""},
        after={"default": str(method)},
        now=now,
    )
    return method


@transaction.atomic
def remove_method(*, team: Team, actor: Actor, method_id: UUID, now: datetime) -> PaymentMethod:
    """Take a card off file. The newest other one follows a default.

    Raises LastMethodError, MethodGoneError.
    """
    lock_account(team)
    method = usable_method(team, method_id)
    method.team = team
    follower = heir(method, methods_on_file(team))
    if follower is None:
        raise LastMethodError
    was_default = method.is_default
    method.is_default, method.removed_at = False, now
    method.save(update_fields=["is_default", "removed_at"])
    after = ""
    if was_default:
        follower.is_default = True
        follower.save(update_fields=["is_default"])
        after = str(follower)
    _record(
        method,
        actor,
        "RemovePaymentMethod",
        f"Removed {method} from the payment methods",
        before=_facts(method) | {"is_default": was_default},
        after={"default": after} if after else None,
        now=now,
    )
    return method


def forget_methods(*, team: Team, now: datetime) -> None:
    """Take every card of a team that ends off file, the last one too."""
    PaymentMethod.of(team).filter(removed_at=None).update(is_default=False, removed_at=now)


def forget_removed_methods(*, now: datetime) -> None:
    """Have the processors forget the cards that are not on file any more, or never came there."""
    unused = Q(kept_at=None, removed_at=None, added_at__lte=now - UNUSED)
    gone = PaymentMethod.across_teams.filter(Q(removed_at__isnull=False) | unused)
    waiting = Payment.across_teams.filter(decided_at=None).values("method")
    due = gone.filter(forgotten_at=None).exclude(pk__in=waiting).order_by("added_at", "pk")
    for method in due.select_related("team")[:BATCH]:
        try:
            payments.named(method.processor).forget_method(reference=method.reference)
        except ProcessorUnavailableError:
            logger.exception("Payment method %s could not be forgotten", method.pk)
            continue
        PaymentMethod.of(method.team).filter(pk=method.pk).update(
            removed_at=method.removed_at or now, forgotten_at=now
        )


def _facts(method: PaymentMethod) -> dict[str, object]:
    return {
        "card": str(method),
        "expires": method.expiry,
        "is_default": method.is_default,
    }


def _record(
    method: PaymentMethod,
    actor: Actor,
    operation: str,
    description: str,
    *,
    before: dict[str, object] | None = None,
    after: dict[str, object] | None = None,
    now: datetime,
) -> None:
    audit.record(
        team=method.team,
        actor=actor,
        operation=operation,
        description=description,
        target_type="payment method",
        target_id=str(method.pk),
        target_label=str(method),
        before=before,
        after=after,
        now=now,
    )
