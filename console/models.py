"""What the console itself keeps: mails on their way."""

from django.db import models


class OutgoingMail(models.Model):
    """A finished mail that waits to be sent. It may hold a link, so it is gone once it is."""

    content = models.JSONField()  # As outbox.pack writes it.
    created_at = models.DateTimeField()
    attempts = models.PositiveSmallIntegerField(default=0)
    # When it is tried again, should nobody have sent it by then.
    due_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["due_at"], name="outgoing_mail_due")]

    def __str__(self) -> str:
        return f"Mail {self.pk}"
