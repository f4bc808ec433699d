"""Paying by bank transfer: what is awaited, and what becomes of it.

No processor has a hand in it. Staff say when money has arrived; the sandbox's arrives by itself.
"""

import logging
from datetime import UTC, datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import transaction

from accounts import services as accounts
from accounts.actors import SYSTEM, Actor
from accounts.models import Team
from accounts.one_by_one import one_by_one
from billing.models import Purchase
from billing.services.accounts import lock_account
from billing.services.mails import send_mail
from billing.services.purchases import begin, deliver, locked, record

logger = logging.getLogger(__name__)

# How long a transfer takes in the sandbox: as long as most do in the world.
SANDBOX_BUSINESS_DAYS: Final = 2
# A transfer that is awaited costs nobody anything; that many tell that nobody will make them.
MOST_PENDING: Final = 10
SATURDAY: Final = 5
# Of a purchase that expired: somebody ended it.
CANCELLED: Final = "cancelled"
SANDBOX_ACCOUNT: Final = (
    "Sandbox Bank, an account that does not exist",
    "No money is to be sent: this console takes payments with its sandbox.",
)


class TransferError(Exception):
    """A transfer cannot be begun, ended or booked as things stand."""


def offers_transfers() -> bool:
    """Whether there is an account that money can be sent to, or the sandbox stands for one."""
    return bool(settings.BANK_TRANSFER_TO) or settings.PAYMENTS == "sandbox"


def transfer_account() -> list[str]:
    """Name the account that transfers go to, line by line."""
    return settings.BANK_TRANSFER_TO or list(SANDBOX_ACCOUNT)


def pending_transfers(team: Team, *, now: datetime) -> list[Purchase]:
    """List what a team has announced and what has not arrived, the newest first."""
    awaited = Purchase.of(team).filter(
        kind=Purchase.Kind.TRANSFER, status=Purchase.Status.PENDING, lapses_at__gt=now
    )
    return list(awaited.select_related("buyer").order_by("-pk"))


@transaction.atomic
def begin_transfer(
    *, team: Team, actor: Actor, amount_cents: int, idempotency_key: str, now: datetime
) -> Purchase:
    """Open a purchase that is paid by bank transfer, once per key, and mail how to pay it.

    Raises what `begin` raises, and TransferError where none are taken or too many are awaited.
    """
    if not offers_transfers():
        raise TransferError("Bank transfers are not taken here. Pay by card.")
    lock_account(team)
    is_new = not Purchase.of(team).filter(idempotency_key=idempotency_key).exists()
    if is_new and len(pending_transfers(team, now=now)) >= MOST_PENDING:
        raise TransferError(
            f"{MOST_PENDING} bank transfers are pending. Withdraw one that will not be made."
        )
    purchase = begin(
        team=team,
        actor=actor,
        amount_cents=amount_cents,
        idempotency_key=idempotency_key,
        kind=Purchase.Kind.TRANSFER,
        now=now,
    )
    if is_new:
        _tell("transfer_pending", purchase)
    return purchase


@transaction.atomic
def cancel_transfer(*, purchase: Purchase, actor: Actor, now: datetime) -> Purchase:
    """End a transfer that will not be made. Money that arrives for it can still be booked."""
    lock_account(purchase.team)
    purchase = locked(purchase)
    if purchase.status == Purchase.Status.SUCCEEDED:
        raise TransferError("This transfer has arrived, and its credits were added.")
    if purchase.status == Purchase.Status.PENDING:
        _end(purchase, CANCELLED)
        words = f"Withdrew the bank transfer {purchase.transfer_reference}"
        record(purchase, actor, "CancelTransfer", words, now=now)
    return purchase


@transaction.atomic
def transfer_arrived(*, purchase: Purchase, actor: Actor, now: datetime) -> Purchase:
    """Add the credits of a transfer whose money is there: what was ordered, once.

    Also of one that has lapsed or was cancelled meanwhile, since the money is there. Raises
    TransferError for another kind of purchase, and TeamClosedError.
    """
    if purchase.kind != Purchase.Kind.TRANSFER:
        raise TransferError("Only bank transfers are marked as arrived.")
    accounts.lock_team(purchase.team)  # A team that is closed keeps no credits.
    lock_account(purchase.team)
    if locked(purchase).status == Purchase.Status.SUCCEEDED:
        return purchase
    # The receipt's mail says that it has arrived.
    return deliver(purchase=purchase, paid_with=Purchase.BANK_TRANSFER, actor=actor, now=now)


def run_transfers(*, now: datetime) -> None:
    """Let the sandbox's transfers arrive, and end those that lapsed.

    One that cannot be ended does not keep the rest waiting.
    """
    awaited = Purchase.across_teams.filter(
        kind=Purchase.Kind.TRANSFER, status=Purchase.Status.PENDING, team__closed_at=None
    )
    with one_by_one(logger) as each:
        for purchase in awaited.select_related("team", "buyer").order_by("pk"):
            with each("Transfer %s could not be brought up to date", purchase.pk):
                _bring_up_to_date(purchase, now)


def _bring_up_to_date(purchase: Purchase, now: datetime) -> None:
    is_sandbox = settings.PAYMENTS == "sandbox"
    if is_sandbox and business_days_after(purchase.created_at, SANDBOX_BUSINESS_DAYS) <= now:
        transfer_arrived(purchase=purchase, actor=SYSTEM, now=now)
    elif purchase.lapses_at <= now:
        _lapse(purchase, now)


@transaction.atomic
def _lapse(purchase: Purchase, now: datetime) -> None:
    lock_account(purchase.team)
    purchase = locked(purchase)
    if purchase.status == Purchase.Status.PENDING:
        _end(purchase, "")
        words = f"The bank transfer {purchase.transfer_reference} lapsed"
        record(purchase, SYSTEM, "LapseTransfer", words, now=now)
        _tell("transfer_lapsed", purchase)


def business_days_after(moment: datetime, days: int) -> datetime:
    """Go so many days on from a moment, of which Saturdays and Sundays (UTC) are none."""
    moment = moment.astimezone(UTC)
    while days:
        moment += timedelta(days=1)
        days -= moment.weekday() < SATURDAY
    return moment


def _end(purchase: Purchase, code: str) -> None:
    purchase.status = Purchase.Status.EXPIRED
    purchase.failure_code = code
    purchase.save(update_fields=["status", "failure_code"])


def _tell(mail: str, purchase: Purchase) -> None:
    words = {"purchase": purchase, "account": transfer_account()}
    send_mail(purchase.team, mail, words)
