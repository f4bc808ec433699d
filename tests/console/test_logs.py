"""What the logs tell, and that nothing which opens something can be read from them."""

import logging

import pytest
from django.db import IntegrityError, connection
from django.test import Client
from django.urls import reverse

from api_keys.secrets import digest_of, new_secret
from console.logs import Line
from tests.clients import Browser
from tests.factories import make_user
from tests.logs import written

SECRET = "MQ-0secret0in0a0link0"
LINKS = [
    reverse("accounts:invitation", args=[SECRET]),
    reverse("accounts:undo_email", args=[SECRET]),
    reverse("account_confirm_email", args=[SECRET]),
    reverse("account_reset_password_from_key", args=["MQ", SECRET]),
]


@pytest.mark.django_db
@pytest.mark.parametrize("link", LINKS)
def test_no_secret_of_a_mailed_link_comes_into_the_logs(
    link: str, caplog: pytest.LogCaptureFixture
) -> None:
    signed_in, strict = Browser(), Client(enforce_csrf_checks=True)
    signed_in.force_login(make_user("Bob"))

    for answer in (signed_in.get(link), signed_in.post(link), strict.post(link)):
        assert answer.status_code in {200, 302, 403, 404}
    signed_in.put(link)
    # As runserver tells of every request.
    logging.getLogger("django.server").warning('"%s" %s %s', f"GET {link} HTTP/1.1", "404", "9")

    assert len(caplog.messages) >= 2
    assert SECRET not in caplog.text
    shown = link.partition("MQ")[0]
    assert all(f"{shown}…/" in message for message in caplog.messages)


@pytest.mark.django_db
def test_what_else_is_asked_for_can_be_read(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    client.get("/accounts/password/reset/nowhere/")

    assert caplog.messages == ["Not Found: /accounts/password/reset/nowhere/"]


@pytest.mark.django_db
def test_no_secret_of_a_key_comes_into_the_logs_from_an_address(client: Client) -> None:
    secret = new_secret("ck")

    with written() as log:
        client.get(f"/v2/{secret}/")
        client.get(f"/nowhere/{secret[3:]}?key={secret}")
        client.put(f"/healthz?{secret}")

    assert f"Not Found: /v2/ck-…{secret[-4:]}/" in log.getvalue()
    assert secret[3:20] not in log.getvalue()


def test_nothing_is_written_past_that_form() -> None:
    loggers = [logging.root, *map(logging.getLogger, logging.root.manager.loggerDict)]
    handlers = {each for logger in loggers for each in logger.handlers if hasattr(each, "stream")}
    ours = {each for each in handlers if not type(each).__module__.startswith("_pytest")}

    assert len(ours) == 1
    assert all(isinstance(each.formatter, Line) for each in ours)


@pytest.mark.django_db
def test_neither_secret_nor_digest_comes_into_the_logs_from_a_traceback() -> None:
    secret = new_secret("ck")
    digest = digest_of(secret)
    with written() as log, connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE refused (digest text CHECK (digest = ''))")
        try:
            cursor.execute("INSERT INTO refused VALUES (%s)", [digest])
        except IntegrityError:
            logging.getLogger("gateway").exception("It failed for %s", secret)

    assert "Failing row contains (…" in log.getvalue()
    assert digest not in log.getvalue()
    assert secret not in log.getvalue()
