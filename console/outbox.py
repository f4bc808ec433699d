"""How mails leave: written down in the transaction that wants them sent, and sent by the worker.

So a mail is never sent about a change that was rolled back, no page waits for a mail server, and
the time of an answer does not tell whether somebody was mailed.
"""

import base64
import logging
import smtplib
from collections.abc import Sequence
from datetime import datetime, timedelta
from email.utils import formatdate, make_msgid
from typing import Any, Final

from django.conf import settings
from django.core.mail import EmailMessage, EmailMultiAlternatives, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.core.mail.utils import DNS_NAME
from django.db import transaction
from django.utils import timezone
from procrastinate.contrib.django import app

from console.models import OutgoingMail

logger = logging.getLogger(__name__)

# By then a worker that lives has sent it; afterwards, whoever sweeps takes it up.
PATIENCE: Final = timedelta(minutes=2)
LONGEST_WAIT: Final = timedelta(hours=6)
GIVE_UP_AFTER: Final = timedelta(days=2)
REFUSED_FOR_GOOD: Final = 500


class Outbox(BaseEmailBackend):
    """Django's way to send mail, here to the worker. `MAIL_BACKEND` is what it sends by."""

    @transaction.atomic
    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        now = timezone.now()
        for message in email_messages:
            mail = OutgoingMail(content=pack(message), created_at=now, due_at=now + PATIENCE)
            mail.save()
            # Only its id: what a job is called with is shown in the admin and in logs.
            app.configure_task("console.tasks.send_mail").defer(mail_id=mail.pk)
        return len(email_messages)


def send_due(*, now: datetime) -> None:
    """Send what was not sent at once, because a server refused it or a worker died over it."""
    due = OutgoingMail.objects.filter(due_at__lte=now).order_by("due_at", "pk")
    for mail_id in due.values_list("pk", flat=True):
        send(mail_id, now=now)


@transaction.atomic
def send(mail_id: int, *, now: datetime) -> None:
    """Send a mail, unless another worker is at it, or note when to try again."""
    mail = OutgoingMail.objects.select_for_update(skip_locked=True).filter(pk=mail_id).first()
    if mail is None:
        return
    try:
        unpack(mail.content).send()
    except Exception as error:  # noqa: BLE001 -- whatever the backend raises, the mail stays
        _postpone(mail, error, now=now)
    else:
        mail.delete()


def _postpone(mail: OutgoingMail, error: Exception, *, now: datetime) -> None:
    # Its subject and its reader are nobody's business who reads logs; the id is enough to follow.
    if _is_final(error) or now - mail.created_at > GIVE_UP_AFTER:
        logger.error("Mail %s could not be sent and is given up: %s", mail.pk, _reason(error))
        mail.delete()
        return
    wait = min(timedelta(minutes=2**mail.attempts), LONGEST_WAIT)
    mail.attempts += 1
    mail.due_at = now + wait
    mail.save(update_fields=["attempts", "due_at"])
    logger.warning(
        "Mail %s could not be sent and is tried again in %s: %s", mail.pk, wait, _reason(error)
    )


def _is_final(error: Exception) -> bool:
    """Say whether the server will never take it: it knows no such reader."""
    return isinstance(error, smtplib.SMTPRecipientsRefused) and all(
        code >= REFUSED_FOR_GOOD for code, _ in error.recipients.values()
    )


def _reason(error: Exception) -> str:
    """Name what went wrong without the address that it went wrong for."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        codes = sorted({code for code, _ in error.recipients.values()})
        return f"the server refused the recipient ({', '.join(map(str, codes))})"
    return f"{type(error).__name__}: {error}"


# --- A mail as JSON ---------------------------------------------------------------------------


def pack(message: EmailMessage) -> dict[str, Any]:
    """Write a mail down, with the id and the date that it would get now."""
    headers = {"Message-ID": make_msgid(domain=str(DNS_NAME)), "Date": formatdate()}
    return {
        "subject": str(message.subject),
        "body": str(message.body),
        "subtype": message.content_subtype,
        "from_email": message.from_email,
        "to": [str(address) for address in message.to],
        "cc": [str(address) for address in message.cc],
        "bcc": [str(address) for address in message.bcc],
        "reply_to": [str(address) for address in message.reply_to],
        "headers": headers | {str(k): str(v) for k, v in message.extra_headers.items()},
        "alternatives": [
            [str(content), mimetype]
            for content, mimetype in getattr(message, "alternatives", None) or []
        ],
        "attachments": [_pack_attachment(attachment) for attachment in message.attachments],
    }


def unpack(content: dict[str, Any]) -> EmailMessage:
    """Make the mail again that `pack` wrote down, ready to be sent by the real backend."""
    subtype = content["subtype"]
    rest = {key: value for key, value in content.items() if key not in {"subtype", "attachments"}}
    message = EmailMultiAlternatives(**rest, connection=get_connection(settings.MAIL_BACKEND))
    message.content_subtype = subtype
    for name, encoded, mimetype in content["attachments"]:
        message.attach(name, base64.b64decode(encoded), mimetype)
    return message


def _pack_attachment(attachment: Any) -> list[str]:
    name, content, mimetype = attachment
    data = content.encode() if isinstance(content, str) else content
    return [name, base64.b64encode(data).decode(), mimetype]
