"""What the console does on its own: send mail."""

from django.utils import timezone
from procrastinate.contrib.django import app

from console import outbox


@app.task
def send_mail(mail_id: int) -> None:
    outbox.send(mail_id, now=timezone.now())


@app.periodic(cron="* * * * *")
@app.task(queueing_lock="send_due_mail")
def send_due_mail(timestamp: int) -> None:  # noqa: ARG001 -- procrastinate passes the planned time
    """Try mails again that a server refused, and those whose worker died."""
    outbox.send_due(now=timezone.now())
