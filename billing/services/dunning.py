"""What becomes of the invoice of a month: paid, tried again, or overdue.

All of it happens under the lock of the team's account, in the transaction that books what a
processor said: a payment that failed and the day of the next try are one commit.
"""

from datetime import datetime, timedelta
from typing import Final

from accounts.actors import SYSTEM, Actor
from audit import services as audit
from billing import payments
from billing.models import BillingAccount, Invoice, Payment, PaymentMethod, Receivable
from billing.rules import TICKS_PER_CENT, usd
from billing.services.mails import send_mail
from billing.services.tiers import enter_payment

# How many days after its issue an invoice is tried again; the first try is at issue.
RETRY_DAYS: Final = (1, 3, 5, 7)
# A try that does not reach the processor is made again, at each run of the job. When so many within
# so long did not, that was a try.
MOST_UNREACHED: Final = 6
UNREACHED_WITHIN: Final = timedelta(hours=12)
_NO_METHOD_TEXT: Final = "The team has no payment method on file. Add one, or pay the invoice."


def paid(*, invoice: Invoice, payment: Payment, now: datetime) -> None:
    """Book that an invoice was paid, under the account lock that the caller holds.

    Requests may be invoiced again, unless another invoice is overdue.
    """
    receivable = _locked(invoice)
    if receivable.paid_at:
        return
    receivable.paid_at, receivable.paid_with = now, str(payment.method)
    receivable.next_try_at = None
    receivable.save(update_fields=["paid_at", "paid_with", "next_try_at"])
    # Without the tax, as a purchase counts.
    enter_payment(team=invoice.team, amount_ticks=invoice.subtotal_cents * TICKS_PER_CENT)
    _audit(invoice, payment, f"Paid invoice {_named(invoice)}", now=now)
    if not overdue(invoice):
        _unblock(invoice, now)


def failed(*, invoice: Invoice, payment: Payment, now: datetime) -> None:
    """Book that a payment took nothing, under the account lock that the caller holds.

    A payment that somebody made on the page was told to them there, and is no try.
    """
    reason = payments.reason(payment.failure_code)
    tried = f"Could not pay invoice {_named(invoice)}: {reason}"
    _audit(invoice, payment, tried, outcome="failed", now=now)
    if not payment.is_off_session:
        return
    if payment.failure_code == payments.NOT_CHARGED and not _is_out_of_reach(invoice, now):
        # The processor was never asked: that is nobody's failure but ours, so this was no try.
        Receivable.of(invoice.team).filter(invoice=invoice, next_try_at__isnull=False).update(
            next_try_at=now
        )
    else:
        missed(invoice=invoice, method=payment.method, reason=reason, now=now)


def missed(
    *, invoice: Invoice, method: PaymentMethod | None, reason: str = _NO_METHOD_TEXT, now: datetime
) -> None:
    """Count a try that brought nothing, tell the team, and say when the next one is, or block.

    Under the account lock that the caller holds.
    """
    receivable = _locked(invoice)
    if receivable.paid_at:
        return
    receivable.next_try_at = _next_try(invoice, receivable.tries, now)
    receivable.tries += 1
    receivable.save(update_fields=["tries", "next_try_at"])
    if receivable.next_try_at is None:
        _block(invoice, now)
    words = {
        "invoice": invoice,
        "method": method,
        "reason": reason,
        "next_try_at": receivable.next_try_at,
    }
    send_mail(invoice.team, "invoice_unpaid", words)


def _next_try(invoice: Invoice, tries: int, now: datetime) -> datetime | None:
    if tries >= len(RETRY_DAYS):
        return None
    # After a night in which no job ran, two tries are still a day apart.
    planned = invoice.issued_at + timedelta(days=RETRY_DAYS[tries])
    return planned if planned > now else now + timedelta(days=1)


def _block(invoice: Invoice, now: datetime) -> None:
    account = BillingAccount.of(invoice.team).get()
    if account.invoicing_blocked_at is None:
        account.invoicing_blocked_at = now
        account.save(update_fields=["invoicing_blocked_at"])
    stopped = f"Stopped invoicing until invoice {invoice.reference} is paid"
    _audit_block(account, invoice, "BlockInvoicing", stopped, now)


def _unblock(invoice: Invoice, now: datetime) -> None:
    account = BillingAccount.of(invoice.team).get()
    if account.invoicing_blocked_at is None:
        return
    account.invoicing_blocked_at = None
    account.save(update_fields=["invoicing_blocked_at"])
    resumed = f"Invoicing goes on: invoice {invoice.reference} is paid"
    _audit_block(account, invoice, "UnblockInvoicing", resumed, now)


def _is_out_of_reach(invoice: Invoice, now: datetime) -> bool:
    """Whether the processor could not be reached so often that nobody would hear of it else."""
    unreached = Payment.of(invoice.team).filter(
        invoice=invoice,
        is_off_session=True,
        failure_code=payments.NOT_CHARGED,
        started_at__gt=now - UNREACHED_WITHIN,
    )
    return unreached.count() >= MOST_UNREACHED


def overdue(invoice: Invoice) -> bool:
    """Whether another invoice of the team was tried to the end."""
    others = Receivable.of(invoice.team).exclude(invoice=invoice)
    return others.filter(paid_at=None, next_try_at=None).exists()


def _locked(invoice: Invoice) -> Receivable:
    return Receivable.of(invoice.team).select_for_update().get(invoice=invoice)


def _named(invoice: Invoice) -> str:
    return f"{invoice.reference} over {usd(invoice.total_cents * TICKS_PER_CENT)}"


def _audit_block(
    account: BillingAccount, invoice: Invoice, operation: str, description: str, now: datetime
) -> None:
    blocked_at = account.invoicing_blocked_at
    audit.record(
        team=invoice.team,
        actor=SYSTEM,
        operation=operation,
        description=description,
        target_type="billing account",
        target_id=str(account.pk),
        target_label=invoice.team.name,
        after={"invoicing_blocked_at": blocked_at.isoformat() if blocked_at else None},
        now=now,
    )


def _audit(
    invoice: Invoice,
    payment: Payment,
    description: str,
    *,
    outcome: str = "done",
    now: datetime,
) -> None:
    audit.record(
        team=invoice.team,
        actor=Actor.for_user(payment.started_by) if payment.started_by else SYSTEM,
        operation="PayInvoice",
        description=description,
        target_type="invoice",
        target_id=str(invoice.pk),
        target_label=invoice.reference,
        after={"amount_cents": payment.amount_cents, "card": str(payment.method)},
        outcome=outcome,
        now=now,
    )
