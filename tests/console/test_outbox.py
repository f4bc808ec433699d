"""The outbox: a mail leaves when its change is committed, once, and as it was written."""

import email
import email.policy
import json
import logging
import socketserver
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from email.message import EmailMessage as Received

import pytest
import time_machine
from django.contrib import admin
from django.core import mail
from django.core.mail import EmailMultiAlternatives, send_mail
from django.db import connection, transaction
from procrastinate.contrib.django import app as jobs
from procrastinate.contrib.django.models import ProcrastinateJob
from procrastinate.contrib.django.utils import connector_params
from pytest_django import Settings

from console import outbox, tasks
from console.management.commands.serve import WorkerConnector
from console.models import OutgoingMail
from tests.factories import NOON
from tests.servers import Console, until

IN_MEMORY = "django.core.mail.backends.locmem.EmailBackend"
SMTP = "django.core.mail.backends.smtp.EmailBackend"


@pytest.fixture(autouse=True)
def _outbox(settings: Settings) -> None:
    """Mail as the console does; Django's tests would catch mails before they get here."""
    settings.EMAIL_BACKEND = "console.outbox.Outbox"
    settings.MAIL_BACKEND = IN_MEMORY


def write(to: str = "alice@example.test", subject: str = "Zweite für dich") -> OutgoingMail:
    send_mail(subject, "Follow this link:\n\nhttps://c.test/reset/secret-7/", None, [to])
    return OutgoingMail.objects.latest("pk")


@pytest.mark.django_db
def test_a_mail_is_sent_by_the_worker_and_leaves_nothing_behind() -> None:
    waiting = write()
    job = ProcrastinateJob.objects.get(task_name="console.tasks.send_mail")
    assert mail.outbox == []

    tasks.send_mail(**job.args)

    [sent] = mail.outbox
    assert (sent.subject, sent.to) == ("Zweite für dich", ["alice@example.test"])
    assert "secret-7" in sent.body
    assert not OutgoingMail.objects.filter(pk=waiting.pk).exists()


@pytest.mark.django_db
def test_a_mail_about_a_change_that_was_rolled_back_is_never_sent() -> None:
    with transaction.atomic():
        write()
        transaction.set_rollback(True)

    assert not OutgoingMail.objects.exists()
    assert not ProcrastinateJob.objects.exists()


@pytest.mark.django_db
def test_what_a_job_of_the_worker_mails_leaves_with_the_jobs_transaction() -> None:
    with jobs.replace_connector(WorkerConnector(kwargs=connector_params())):
        with transaction.atomic():
            write()
            transaction.set_rollback(True)
        assert not ProcrastinateJob.objects.exists()
        waiting = write()

    assert ProcrastinateJob.objects.get().args == {"mail_id": waiting.pk}


@pytest.mark.django_db
def test_the_link_in_a_mail_shows_neither_in_its_job_nor_in_the_admin(
    caplog: pytest.LogCaptureFixture, settings: Settings
) -> None:
    settings.MAIL_BACKEND = "django.core.mail.backends.nothing"
    waiting = write()

    tasks.send_mail(waiting.pk)

    job = ProcrastinateJob.objects.get()
    assert job.args == {"mail_id": waiting.pk}
    assert OutgoingMail not in admin.site._registry
    assert "secret-7" not in caplog.text
    assert "alice" not in caplog.text


@pytest.mark.django_db
def test_every_part_of_a_mail_arrives() -> None:
    message = EmailMultiAlternatives(
        subject="Invoice",
        body="Text",
        from_email="Console <console@c.test>",
        to=["Alice <alice@example.test>"],
        cc=["cc@example.test"],
        bcc=["bcc@example.test"],
        reply_to=["support@c.test"],
        headers={"X-Kind": "invoice", "Message-ID": "<1@c.test>"},
    )
    message.attach_alternative("<b>Text</b>", "text/html")
    message.attach("invoice.pdf", b"%PDF\xff\x00", "application/pdf")
    message.attach("notes.txt", "für dich", "text/plain")
    message.send()

    tasks.send_mail(OutgoingMail.objects.get().pk)

    [sent] = mail.outbox
    read = email.message_from_bytes(sent.message().as_bytes(), policy=email.policy.default)
    assert isinstance(read, Received)
    assert sent.recipients() == [
        "Alice <alice@example.test>",
        "cc@example.test",
        "bcc@example.test",
    ]
    for header, value in {
        "From": "Console <console@c.test>",
        "To": "Alice <alice@example.test>",
        "Cc": "cc@example.test",
        "Reply-To": "support@c.test",
        "X-Kind": "invoice",
        "Message-ID": "<1@c.test>",
    }.items():
        assert read[header] == value
    assert read["Bcc"] is None
    html = read.get_body(preferencelist=("html",))
    assert html is not None
    assert html.get_content().strip() == "<b>Text</b>"
    pdf, notes = read.iter_attachments()
    assert pdf.get_content() == b"%PDF\xff\x00"
    assert notes.get_content() == "für dich"


@pytest.mark.django_db
def test_a_mail_that_is_tried_again_is_the_same_mail() -> None:
    waiting = write()

    first, second = (outbox.unpack(waiting.content).message() for _ in range(2))

    assert first["Message-ID"] == second["Message-ID"]
    assert first["Date"] == second["Date"]


@pytest.mark.django_db(transaction=True)
def test_two_workers_with_the_same_mail_send_it_once() -> None:
    waiting = write()

    with transaction.atomic():
        OutgoingMail.objects.select_for_update().get(pk=waiting.pk)
        other = threading.Thread(target=_in_a_thread(lambda: outbox.send(waiting.pk, now=NOON)))
        other.start()
        other.join(30)
        assert not other.is_alive()  # It does not wait for the first one either.
    assert mail.outbox == []

    outbox.send(waiting.pk, now=NOON)
    outbox.send(waiting.pk, now=NOON)

    assert len(mail.outbox) == 1


def _in_a_thread(work: Callable[[], None]) -> Callable[[], None]:
    def run() -> None:
        try:
            work()
        finally:
            connection.close()

    return run


# --- When it cannot be sent


class Refusing(socketserver.StreamRequestHandler):
    """Speaks enough SMTP to take mails, or to answer a recipient with the server's `code`."""

    def handle(self) -> None:
        server = self.server
        assert isinstance(server, MailServer)
        self.wfile.write(b"220 here\r\n")
        while line := self.rfile.readline():
            match line.split(b":")[0].split()[0].upper():
                case b"RCPT" if server.code:
                    self.wfile.write(b"%d no\r\n" % server.code)
                case b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    body = iter(self.rfile.readline, b".\r\n")
                    server.taken.append(b"".join(body))
                    self.wfile.write(b"250 taken\r\n")
                case b"QUIT":
                    self.wfile.write(b"221 bye\r\n")
                    return
                case _:
                    self.wfile.write(b"250 fine\r\n")


class MailServer(socketserver.ThreadingTCPServer):
    """A mail server on this machine."""

    allow_reuse_address = True
    daemon_threads = True
    code = 0

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Refusing)
        self.taken: list[bytes] = []


@pytest.fixture
def mail_server(settings: Settings) -> Iterator[MailServer]:
    with MailServer() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        settings.MAIL_BACKEND = SMTP
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.server_address[1]
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.django_db
def test_a_mail_goes_to_the_mail_server(mail_server: MailServer) -> None:
    waiting = write()

    outbox.send(waiting.pk, now=NOON)

    [taken] = mail_server.taken
    read = email.message_from_bytes(taken, policy=email.policy.default)
    assert read["Subject"] == "Zweite für dich"
    assert read["Message-ID"] == waiting.content["headers"]["Message-ID"]


@pytest.mark.django_db
def test_a_refused_mail_is_tried_again_ever_later_until_it_is_taken(
    mail_server: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with time_machine.travel(NOON, tick=False) as clock:
        waiting = write()
        mail_server.code = 451
        outbox.send(waiting.pk, now=NOON)
        waits = []
        for _ in range(11):
            waiting.refresh_from_db()
            waits.append(waiting.due_at - _now())
            tasks.send_due_mail(timestamp=0)  # Not due yet: nothing happens.
            clock.move_to(waiting.due_at)
            tasks.send_due_mail(timestamp=0)
        mail_server.code = 0
        waiting.refresh_from_db()
        clock.move_to(waiting.due_at)

        tasks.send_due_mail(timestamp=0)

    minutes = [wait / timedelta(minutes=1) for wait in waits]
    assert minutes == [1, 2, 4, 8, 16, 32, 64, 128, 256, 360, 360]
    assert len(mail_server.taken) == 1
    assert not OutgoingMail.objects.exists()
    assert "is tried again in 0:01:00: the server refused the recipient (451)" in caplog.text
    assert "alice" not in caplog.text


@pytest.mark.django_db
def test_after_two_days_a_mail_is_given_up_and_the_log_says_so(
    mail_server: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    waiting = write()
    mail_server.code = 451

    outbox.send(waiting.pk, now=waiting.created_at + timedelta(days=2, seconds=1))

    assert not OutgoingMail.objects.exists()
    assert f"Mail {waiting.pk} could not be sent and is given up" in caplog.text


@pytest.mark.django_db
def test_a_reader_whom_the_server_does_not_know_is_not_bothered_with_again(
    mail_server: MailServer,
) -> None:
    waiting = write()
    mail_server.code = 550

    outbox.send(waiting.pk, now=NOON)

    assert not OutgoingMail.objects.exists()


@pytest.mark.django_db
def test_a_mail_whose_worker_died_is_sent_by_the_next_sweep() -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        write()  # Its job is lost.
        tasks.send_due_mail(timestamp=0)
        assert mail.outbox == []
        clock.shift(timedelta(minutes=2))

        tasks.send_due_mail(timestamp=0)

    assert len(mail.outbox) == 1


def _now() -> datetime:
    return datetime.now(NOON.tzinfo)


# --- For real


def test_a_console_sends_by_its_worker_and_forgets_the_mail(
    make_console: Callable[..., Console],
) -> None:
    console = make_console()
    console.start()
    console.wait_until_ready()
    source = "from django.core.mail import send_mail; send_mail('Hi', 'x', None, ['a@b.test'])"

    console.manage("shell", "--no-imports", "-c", source)

    until(lambda: [*console.data_dir.glob("mail/*.log")], "the mail")
    until(lambda: console.database.query("SELECT 1 FROM console_outgoingmail") == [], "its end")
    until(
        lambda: (
            console.database.query(
                "SELECT 1 FROM procrastinate_jobs WHERE task_name = 'console.tasks.send_mail'"
            )
            == []
        ),
        "the end of its job",
    )
    [kept] = console.data_dir.glob("mail/*.log")
    assert "Subject: Hi" in kept.read_text()
    assert json.dumps("a@b.test") not in console.log()
